/**
 * A policy as people write it: JSON with rules. Parsed once, printed canonically, and stored as that text; what is approved is the hash of it.
 *
 *   {
 *     "change": { "approvals": 2, "delaySeconds": 3600 },      what the next change of the policy takes
 *     "approvalSeconds": 86400,                                how long people may approve a withdrawal, and how long an approval counts
 *     "otherwise": "ALLOW",                                    where no rule decides
 *     "rules": [
 *       { "name": "large", "when": { "instruments": [{ "admin": "DSO::1220…", "id": "Amulet" }], "amountAbove": "1000" }, "outcome": { "approvals": 2 } },
 *       { "name": "daily", "when": { "velocity": { "per": "ACCOUNT", "windowSeconds": 86400, "sumAbove": "5000" } }, "outcome": "DENY" },
 *       { "name": "screened", "when": {}, "outcome": "SCREEN" }
 *     ]
 *   }
 *
 * A rule holds where all of its conditions do. Of the rules that hold the strictest decides: DENY before approvals (the most of them) before ALLOW. SCREEN adds the screening service and decides nothing by itself.
 */
import { z } from 'zod';
import { messageOf, PermanentError } from '../env/errors.ts';
import { formatAmount, parseAmount } from '../tokens/amount.ts';

const APPROVALS_MAX = 20; // As the tables have it.
const SECONDS_MAX = 30 * 86_400; // A month: what waits longer is forgotten, not considered.
const WINDOW_SECONDS_MAX = 31 * 86_400; // Every withdrawal in a window is summed for every request.
const CHANGE_DELAY_SECONDS_MIN = 60; // Time for somebody to see it.
const RULES_MAX = 200;
const NAMED_MAX = 10_000; // Of the receivers of an allow list, say.
const BYTES_MAX = 262_144; // As the tables have it.

const text = z
  .string()
  .min(1)
  .max(255)
  .refine((value) => value.isWellFormed() && !value.includes('\0'), 'characters that cannot be stored');
const named = z.array(text).min(1).max(NAMED_MAX);
const approvals = z.int().min(1).max(APPROVALS_MAX);
const seconds = (min: number, max: number) => z.int().min(min).max(max);
const amount = z.string().transform((value, context) => {
  try {
    const parsed = parseAmount(value);
    if (parsed >= 0n) return formatAmount(parsed);
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
  }
  context.addIssue({ code: 'custom', message: 'expected a decimal number of at most ten decimals, as text' });
  return z.NEVER;
});

const decision = z.union([z.literal('ALLOW'), z.literal('DENY'), z.strictObject({ approvals })]);

const velocity = z
  .strictObject({
    per: z.enum(['ACCOUNT', 'RECEIVER', 'INSTRUMENT', 'CLIENT', 'TREASURY']),
    windowSeconds: seconds(1, WINDOW_SECONDS_MAX),
    sumAbove: amount.optional(),
    countAbove: z.int().min(0).max(1_000_000).optional(),
  })
  .refine(
    ({ sumAbove, countAbove }) => sumAbove !== undefined || countAbove !== undefined,
    'expected sumAbove, countAbove or both',
  );

const rule = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/)
    .refine((value) => value !== 'otherwise', 'is the name of what holds where no rule decides'),
  when: z.strictObject({
    instruments: z
      .array(z.strictObject({ admin: text, id: text }))
      .min(1)
      .max(NAMED_MAX)
      .optional(),
    accounts: named.optional(),
    clients: named.optional(),
    receivers: named.optional(),
    treasuries: named.optional(),
    amountAbove: amount.optional(),
    velocity: velocity.optional(),
  }),
  outcome: z.union([...decision.options, z.literal('SCREEN')]),
});

const document = z.strictObject({
  change: z.strictObject({ approvals, delaySeconds: seconds(CHANGE_DELAY_SECONDS_MIN, SECONDS_MAX) }),
  approvalSeconds: seconds(60, SECONDS_MAX),
  otherwise: decision,
  rules: z
    .array(rule)
    .max(RULES_MAX)
    .refine((rules) => new Set(rules.map(({ name }) => name)).size === rules.length, 'expected names that differ'),
});

export type PolicyDocument = z.infer<typeof document>;
export type PolicyRule = PolicyDocument['rules'][number];
export type PolicyOutcome = PolicyRule['outcome'];
export type Velocity = NonNullable<PolicyRule['when']['velocity']>;

/** What holds where nobody has set a policy: everything is allowed, as it was before there were any. */
export const NO_POLICY: PolicyDocument = {
  change: { approvals: 1, delaySeconds: CHANGE_DELAY_SECONDS_MIN },
  approvalSeconds: 86_400,
  otherwise: 'ALLOW',
  rules: [],
};

/** @throws PermanentError POLICY_INVALID, naming every fault. */
export function parsePolicy(input: string): PolicyDocument {
  const parsed = document.safeParse(parseJson(input));
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'policy'}: ${message}`);
    throw new PermanentError('POLICY_INVALID', `It is no policy: ${faults.join('; ')}.`, { faults });
  }
  if (Buffer.byteLength(printPolicy(parsed.data)) > BYTES_MAX) {
    throw new PermanentError('POLICY_INVALID', `It is no policy: more than ${BYTES_MAX} bytes.`);
  }
  return parsed.data;
}

/** The canonical text: keys in the order of this file, no blanks, amounts with ten decimals. */
export function printPolicy(policy: PolicyDocument): string {
  return JSON.stringify(document.parse(policy));
}

function parseJson(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch (error) {
    throw new PermanentError('POLICY_INVALID', `It is no policy, because it is no JSON: ${messageOf(error)}`);
  }
}
