/**
 * What others say of a withdrawal that nobody has asked for yet: the registry how it would be made, Scan until when the receiver takes it without being asked, the participant whether the receiver can be
 * reached at all. Each is asked beside the others, within one deadline, and not more often than a budget allows; an answer serves everybody who asks the same for some seconds. Who does not answer is
 * named, and the others stand.
 */
import type { Clock, Micros } from '../env/clock.ts';
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import type { TransferRecord } from '../tokens/transfer-record.ts';
import type { AskingBudget } from './asking-budget.ts';

/** What somebody said, and when; or why he said nothing. */
export type Said<T> =
  | { readonly kind: 'SAID'; readonly value: T; readonly at: Micros }
  | { readonly kind: 'SILENT'; readonly code: string; readonly why: string }
  | { readonly kind: 'NOT_ASKED'; readonly why: string };

export type Reachability =
  | { readonly kind: 'REACHABLE' }
  /** No participant that has vetted the token's packages hosts the party, or none hosts it at all. */
  | { readonly kind: 'UNREACHABLE'; readonly detail: string };

export type Preapproval = { readonly provider: string; readonly expiresAt: Micros };

export type OutsideFacts = {
  readonly transferKind: Said<'self' | 'direct' | 'offer'>;
  /** Null: the receiver has none. */
  readonly preapproval: Said<Preapproval | null>;
  readonly receiver: Said<Reachability>;
};

/** Each throws RetryableError or PermanentError; null where this installation has nobody to ask. */
export type Outside = {
  readonly transferKind: (transfer: TransferRecord, signal: AbortSignal) => Promise<'self' | 'direct' | 'offer'>;
  readonly preapproval: ((receiver: string, signal: AbortSignal) => Promise<Preapproval | null>) | null;
  readonly receiver: ((receiver: string, packages: readonly string[]) => Promise<Reachability>) | null;
};

export type OutsideQuestion = {
  readonly transfer: TransferRecord;
  /** Packages that whoever hosts the receiver must have vetted. */
  readonly packages: readonly string[];
  /** Whether the instrument knows preapprovals that Scan tells of. */
  readonly hasPreapprovals: boolean;
  /** The customer who asks for himself; null: a service asks. */
  readonly customer: string | null;
};

export type AskOutside = (question: OutsideQuestion) => Promise<OutsideFacts>;

const DEADLINE_MS = 3_000; // A person looks at a form meanwhile.
const MEMORY_MS = 5_000; // Somebody who types an amount asks about the same receiver at every key.
const REMEMBERED_MAX = 1_000;

export function createOutsideFacts({
  outside,
  budget,
  clock,
  deadlineMs = DEADLINE_MS,
}: {
  readonly outside: Outside;
  readonly budget: AskingBudget;
  readonly clock: Clock;
  readonly deadlineMs?: number;
}): AskOutside {
  const known = new Map<string, { readonly until: Micros; readonly facts: Promise<OutsideFacts> }>();

  /** Never rejects. */
  async function said<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<Said<T>> {
    const asking = new AbortController();
    const waiting = new AbortController();
    const late = clock.sleep(deadlineMs, waiting.signal).then((): Said<T> => {
      return { kind: 'SILENT', code: 'TIMEOUT', why: `No answer within ${deadlineMs} ms.` };
    });
    const answer = ask(asking.signal).then(
      (value): Said<T> => ({ kind: 'SAID', value, at: clock.nowMicros() }),
      (error: unknown): Said<T> => ({ kind: 'SILENT', code: codeOf(error), why: messageOf(error) }),
    );
    try {
      return await Promise.race([answer, late]);
    } finally {
      asking.abort();
      waiting.abort();
    }
  }

  async function askAll({ transfer, packages, hasPreapprovals }: OutsideQuestion): Promise<OutsideFacts> {
    const { transferKind, preapproval, receiver } = outside;
    const [kind, consent, reachability] = await Promise.all([
      said((signal) => transferKind(transfer, signal)),
      !hasPreapprovals
        ? nobody('The instrument knows no preapproval that could be looked up.')
        : preapproval === null
          ? nobody('No Scan is configured.')
          : said((signal) => preapproval(transfer.receiver, signal)),
      receiver === null ? nobody('No participant is configured.') : said(() => receiver(transfer.receiver, packages)),
    ]);
    return { transferKind: kind, preapproval: consent, receiver: reachability };
  }

  return async (question) => {
    const { sender, receiver, instrument } = question.transfer;
    const key = JSON.stringify([sender, receiver, instrument.admin, instrument.id]);
    const now = clock.nowMicros();
    const remembered = known.get(key);
    if (remembered !== undefined && remembered.until > now) return await remembered.facts;
    const refused = budget.take(question.customer);
    if (refused !== null) {
      const silent = { kind: 'SILENT', code: 'PREFLIGHT_RATE_LIMITED', why: refused } as const;
      return { transferKind: silent, preapproval: silent, receiver: silent };
    }
    known.delete(key);
    if (known.size >= REMEMBERED_MAX) known.clear();
    const facts = askAll(question);
    known.set(key, { until: now + BigInt(MEMORY_MS + deadlineMs) * 1_000n, facts });
    const answered = await facts;
    // Silence is not remembered: the next who asks may be luckier, and the budget holds.
    const isSilent = [answered.transferKind, answered.preapproval, answered.receiver].some(
      ({ kind }) => kind === 'SILENT',
    );
    if (isSilent && known.get(key)?.facts === facts) known.delete(key);
    return answered;
  };
}

function nobody(why: string): Promise<{ readonly kind: 'NOT_ASKED'; readonly why: string }> {
  return Promise.resolve({ kind: 'NOT_ASKED', why });
}

function codeOf(error: unknown): string {
  return error instanceof RetryableError || error instanceof PermanentError ? error.code : 'UNEXPECTED';
}
