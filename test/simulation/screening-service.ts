/**
 * The screening service as a process reaches it: behind the real client (src/deposits/screening-client.ts), where its `fetch` would be. It answers the same to the same question, as the protocol has it, whatever the database
 * has forgotten meanwhile. In trouble it does what such services do instead of answering: nothing, something else, or too late. What it said is kept here, also where nobody heard it.
 */
import {
  createScreeningClient,
  type ScreeningClient,
  type ScreeningQuestion,
  sign,
} from '../../src/deposits/screening-client.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import type { Life } from './process.ts';
import { must } from './violation.ts';

export type ScreeningService = {
  clientFor(life: Life): ScreeningClient;
  /** What was said of a deposit of this account, or of a withdrawal; null: nothing yet, to anybody. */
  verdictOf(subject: { readonly id: string; readonly account: string }): 'ALLOW' | 'DENY' | null;
};

export type ScreeningServiceOptions = {
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  /** Looks at what is asked, before it is answered. @throws Violation. */
  readonly onAsked: (question: ScreeningQuestion) => void;
  /** A no about it was said for the first time. */
  readonly onDenied: (id: string) => void;
};

const SECRET = new Uint8Array(32).fill(9);
const URL = 'https://screening.example/';
const LATE_MS_MAX = 30_000; // Past the deadline of the client.
const SLOW_MS_MAX = 9_000; // Within it. By then others may ask the same, whose clocks are ahead.

/** What it does instead of answering. */
const MISDEEDS = ['PENDING', 'STATUS', 'RUBBISH', 'UNSIGNED', 'OTHER', 'REPLAYED', 'SILENT', 'LATE'] as const;

type Misdeed = (typeof MISDEEDS)[number] | null;

type Request = { readonly timestamp: string; readonly signature: string; readonly body: string };

export function createScreeningService(options: ScreeningServiceOptions): ScreeningService {
  const { faults, dice, marks, onAsked, onDenied } = options;
  const allowShare = dice.pick([0.2, 0.6, 0.9]);
  const misdeedShare = dice.pick([0, 0.3, 0.8]);
  const slowMsMax = dice.pick([0, 0, SLOW_MS_MAX]);
  /** By what was asked about. */
  const verdicts = new Map<string, 'ALLOW' | 'DENY'>();
  const keyOf = (id: string, account: string): string => `${id} ${account}`;

  const judge = (id: string, account: string): 'ALLOW' | 'DENY' => {
    const key = keyOf(id, account);
    const known = verdicts.get(key);
    if (known !== undefined) return known;
    const verdict = dice.chance(allowShare) ? 'ALLOW' : 'DENY';
    verdicts.set(key, verdict);
    if (verdict === 'DENY') onDenied(id);
    return verdict;
  };

  const reply = (misdeed: Misdeed, { timestamp, signature, body }: Request): Response => {
    const isOurs = signature === sign(SECRET, 'request', timestamp, body);
    must(isOurs, 'a question to the screening service is signed', { body });
    const question: ScreeningQuestion = JSON.parse(body);
    const about =
      question.kind === 'WITHDRAWAL' ? { withdrawalId: question.withdrawalId } : { transferId: question.transferId };
    const say = (content: unknown, purpose: 'answer' | 'request' = 'answer'): Response => {
      const text = JSON.stringify(content);
      return new Response(text, { headers: { 'sluice-signature': sign(SECRET, purpose, timestamp, text) } });
    };
    onAsked(question);
    switch (misdeed) {
      case 'PENDING':
        return say({ ...about, verdict: 'pending' });
      case 'STATUS':
        return new Response('', { status: 503 });
      case 'RUBBISH':
        return say({ ...about, verdict: 'ALLOW' });
      case 'UNSIGNED':
        return new Response(JSON.stringify({ ...about, verdict: 'allow' }));
      case 'OTHER':
        return say({ transferId: 'tr_other', withdrawalId: 'wd_other', verdict: 'allow' });
      case 'REPLAYED':
        return say({ ...about, verdict: 'allow' }, 'request');
      default: {
        const verdict = judge(Object.values(about)[0] ?? '', question.account);
        marks.add(`screening service: ${verdict}`);
        return say({ ...about, verdict: verdict.toLowerCase(), caseId: 'case-1', reason: 'looked at' });
      }
    }
  };

  const ask = async ({ calls, clock }: Life, request: Request): Promise<Response> => {
    const misdeed = faults.isOn('screening') && dice.chance(misdeedShare) ? dice.pick(MISDEEDS) : null;
    if (misdeed !== null) marks.add(`screening service: ${misdeed}`);
    const { promise: silence } = Promise.withResolvers<never>();
    const response = await calls.call('Screen', async () => reply(misdeed, request)).catch(failed);
    if (misdeed === 'SILENT') return await silence;
    if (slowMsMax > 0 && faults.isOn('screening')) await clock.sleep(dice.integer(0, slowMsMax));
    if (misdeed === 'LATE') await clock.sleep(Math.round(dice.logUniform(100, LATE_MS_MAX)));
    return response;
  };

  return {
    verdictOf: ({ id, account }) => verdicts.get(keyOf(id, account)) ?? null,
    clientFor: (life) =>
      createScreeningClient({
        url: URL,
        secret: SECRET,
        clock: life.clock,
        fetch: async (_url, { headers, body, signal } = {}) => {
          const given = new Headers(headers);
          const request: Request = {
            timestamp: given.get('sluice-timestamp') ?? '',
            signature: given.get('sluice-signature') ?? '',
            body: String(body),
          };
          return await Promise.race([ask(life, request), cutOff(signal)]);
        },
      }),
  };
}

/** As `fetch` fails, whatever was wrong with the connection. */
function failed(error: unknown): never {
  throw new TypeError('fetch failed', { cause: error });
}

/** Never resolves. @throws what the signal is aborted with. */
async function cutOff(signal: AbortSignal | null | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const end = (): void => reject(signal?.reason);
  if (signal?.aborted === true) end();
  else signal?.addEventListener('abort', end, { once: true });
  return await promise;
}
