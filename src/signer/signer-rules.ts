/** The signer's own rules, from a file that its owner writes: for whom it signs, and how much. Described in docs/guides/signers.md. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { RegistryImplementation } from '../custody/transfer-intent.ts';
import type { Micros } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Amount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { CHECK_ADMIN, LIMITED_COUNT, LIMITED_INSTRUMENT, OPEN_INSTRUMENT } from './kit/check-transfer.ts';
import { amount, word } from './wire-values.ts';

export type Limit = {
  /** Null: every instrument, each by itself. */
  readonly instrument: Instrument | null;
  /** RECEIVER: what one receiver gets. INSTRUMENT: what all of them get. */
  readonly per: 'INSTRUMENT' | 'RECEIVER';
  readonly windowMicros: Micros;
  /** Payouts in the window, at most; null: any number. */
  readonly count: number | null;
  /** Their sum, at most; null: any. */
  readonly sum: Amount | null;
  /** As it was written, for refusals. */
  readonly shown: string;
};

export type KnownInstrument = Instrument & { readonly implementation: RegistryImplementation };

export type SignerRules = {
  /** Whether it takes part in the check (docs/signer-protocol.md): then it signs what no ledger has, and nothing else. If not, nothing of the check. */
  readonly isCheck: boolean;
  /** Null: for every party that asks; the ledger takes only those that have the key. */
  readonly parties: readonly string[] | null;
  /**
   * What it signs for, and whose code moves it: both decide how the transaction is checked, so neither may be the service's word. Whoever could name an instrument of his own as admin of a registry nobody
   * knows, could have our other tokens spent in its name. Null: for any.
   */
  readonly instruments: readonly KnownInstrument[] | null;
  /** How far ahead of the signer's clock the last record time of a transaction may be. */
  readonly targetSecondsMax: bigint;
  /** None: no limit. With any, an instrument that none of them is about is refused. */
  readonly limits: readonly Limit[];
};

/** No limits: for development, and for tests of everything else. */
export const OPEN_RULES: SignerRules = {
  isCheck: false,
  parties: null,
  instruments: null,
  targetSecondsMax: 86_400n,
  limits: [],
};

/** The rules of a signer in the check: one limit to run into, and none in the way. */
export const CHECK_RULES: SignerRules = {
  ...OPEN_RULES,
  isCheck: true,
  limits: [LIMITED_INSTRUMENT, OPEN_INSTRUMENT].map((id) => ({
    instrument: { admin: CHECK_ADMIN, id },
    per: 'RECEIVER',
    windowMicros: 3_600_000_000n,
    count: id === LIMITED_INSTRUMENT ? LIMITED_COUNT : null,
    sum: null,
    shown: `${LIMITED_COUNT} payouts per receiver and hour`,
  })),
};

const WINDOWS = { hour: 3_600_000_000n, day: 86_400_000_000n } as const;
const RULES_BYTES_MAX = 1024 * 1024;

const limitShape = z
  .strictObject({
    instrument: z.union([z.literal('*'), z.strictObject({ admin: word, id: word })]),
    per: z.enum(['instrument', 'receiver']),
    window: z.enum(['hour', 'day']),
    count: z.int().min(0).max(1_000_000).optional(),
    sum: amount.optional(),
  })
  .refine(({ count, sum }) => count !== undefined || sum !== undefined, 'expected `count`, `sum` or both')
  .transform((limit): Limit => {
    const { instrument, per, window, count = null, sum = null } = limit;
    return {
      instrument: instrument === '*' ? null : instrument,
      per: per === 'instrument' ? 'INSTRUMENT' : 'RECEIVER',
      windowMicros: WINDOWS[window],
      count,
      sum,
      shown: `${count === null ? '' : `${count} payouts`}${count !== null && sum !== null ? ' and ' : ''}${sum === null ? '' : 'a sum'} per ${per} and ${window}`,
    };
  });

const rulesShape = z.strictObject({
  instruments: z
    .array(
      z.strictObject({
        admin: word,
        id: word,
        implementation: z.enum(['SPLICE_AMULET', 'UTILITY_REGISTRY', 'OTHER']),
      }),
    )
    .min(1)
    .max(1_000),
  parties: z.array(word).min(1).max(1_000).optional(),
  targetSecondsMax: z.int().min(5).max(86_400).optional(),
  limits: z.array(limitShape).max(1_000),
});

/** @throws PermanentError SIGNER_RULES_INVALID with all faults. */
export function parseRules(json: unknown): SignerRules {
  const parsed = rulesShape.safeParse(json);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'rules'}: ${message}`);
    throw new PermanentError('SIGNER_RULES_INVALID', `The rules are not usable:\n${faults.join('\n')}`, { faults });
  }
  const { parties = null, instruments, targetSecondsMax, limits } = parsed.data;
  return {
    isCheck: false,
    parties,
    instruments,
    targetSecondsMax: BigInt(targetSecondsMax ?? OPEN_RULES.targetSecondsMax),
    limits,
  };
}

/** @throws PermanentError SIGNER_RULES_INVALID. */
export function readRules(path: string): SignerRules {
  const invalid = (why: string): PermanentError =>
    new PermanentError('SIGNER_RULES_INVALID', `The rules are not usable: ${why}`, { path });
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    throw invalid(messageOf(error));
  }
  if (content.length > RULES_BYTES_MAX) throw invalid('the file is too large');
  try {
    return parseRules(JSON.parse(content));
  } catch (error) {
    if (error instanceof PermanentError) throw error;
    throw invalid(messageOf(error));
  }
}
