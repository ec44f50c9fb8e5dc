/**
 * Asks the screening service. One POST per question, signed by us; one answer, signed by the service with the same secret, or it is no answer: whoever can only
 * answer in its place cannot let a deposit pass. Described for those who build such a service in docs/guides/deposits.md.
 *
 *   request   `sluice-timestamp: <unix seconds>`, `sluice-signature: v1=<hex>` with HMAC-SHA256(secret, "request." + timestamp + "." + body)
 *   answer    200, `sluice-signature: v1=<hex>` with HMAC-SHA256(secret, "answer." + the request's timestamp + "." + body), and
 *             {"transferId", "verdict": "allow" | "deny" | "pending", "caseId"?, "reason"?}; about a withdrawal "withdrawalId" instead
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { type Clock, microsToMillis } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Verdict } from './screening-verdict.ts';

/** What the service is told. Amounts and times as text. */
export type ScreeningQuestion = DepositQuestion | WithdrawalQuestion;

export type WithdrawalQuestion = {
  readonly withdrawalId: string;
  readonly kind: 'WITHDRAWAL';
  readonly network: string;
  readonly treasuryParty: string;
  readonly instrument: { readonly admin: string; readonly id: string };
  readonly amount: string;
  readonly receiver: string;
  readonly memo: string | null;
  readonly account: string;
  /** The principal that asked for it. */
  readonly requestedBy: string;
  /** Of what is paid, as approvals are bound to it. */
  readonly intentHash: string;
};

export type DepositQuestion = {
  readonly transferId: string;
  readonly kind: 'DEPOSIT' | 'OFFER';
  readonly network: string;
  readonly treasuryParty: string;
  readonly instrument: { readonly admin: string; readonly id: string };
  readonly amount: string;
  readonly sender: string | null;
  readonly memo: string | null;
  readonly account: string;
  readonly updateId: string;
  readonly recordTime: string;
};

/** `PENDING`: the service works on it and wants to be asked again. */
export type ScreeningAnswer = Verdict | { readonly kind: 'PENDING' };

export type ScreeningClient = {
  /** @throws RetryableError SCREENING_UNREACHABLE, SCREENING_TIMEOUT, SCREENING_STATUS, SCREENING_ANSWER_INVALID: no answer, and so no leave. */
  ask(question: ScreeningQuestion, signal: AbortSignal): Promise<ScreeningAnswer>;
};

const TIMEOUT_MS = 10_000; // Services answer in a second or say `pending`; the deposit waits for it.
const ANSWER_BYTES_MAX = 64 * 1024;
const TEXT_MAX = 1_000;

// What is kept of it goes into PostgreSQL, which takes no U+0000.
const text = z
  .string()
  .max(TEXT_MAX)
  .refine((value) => value.isWellFormed() && !value.includes('\0'));
const answerShape = z.object({
  transferId: z.string().optional(),
  withdrawalId: z.string().optional(),
  verdict: z.enum(['allow', 'deny', 'pending']),
  caseId: text.nullish(),
  reason: text.nullish(),
});

export function createScreeningClient({
  url,
  secret,
  fetch,
  clock,
  timeoutMs = TIMEOUT_MS,
}: {
  readonly url: string;
  /** 32 bytes or more, known to both sides. */
  readonly secret: Uint8Array;
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}): ScreeningClient {
  return {
    ask: async (question, caller) => {
      const timestamp = String(Math.trunc(microsToMillis(clock.nowMicros()) / 1_000));
      const body = JSON.stringify(question);
      const deadline = new AbortController();
      const waiting = new AbortController();
      void clock.sleep(timeoutMs, waiting.signal).then(() => deadline.abort());
      try {
        const response = await fetch(url, {
          method: 'POST',
          // Another address is another service.
          redirect: 'manual',
          headers: {
            'content-type': 'application/json',
            accept: 'application/json',
            'sluice-timestamp': timestamp,
            'sluice-signature': sign(secret, 'request', timestamp, body),
          },
          body,
          signal: AbortSignal.any([deadline.signal, caller]),
        });
        if (response.status !== 200) {
          await response.body?.cancel();
          throw failure('SCREENING_STATUS', `The screening service answered ${response.status}.`);
        }
        const answer = await readText(response);
        demandSigned(response.headers.get('sluice-signature'), sign(secret, 'answer', timestamp, answer));
        return parseAnswer(answer, question);
      } catch (error) {
        if (error instanceof RetryableError) throw error;
        const isLate = deadline.signal.aborted;
        throw failure(
          isLate ? 'SCREENING_TIMEOUT' : 'SCREENING_UNREACHABLE',
          isLate ? 'No answer in time.' : messageOf(error),
          error,
        );
      } finally {
        waiting.abort();
      }
    },
  };
}

/** @param purpose keeps a question from being passed off as an answer. */
export function sign(secret: Uint8Array, purpose: 'request' | 'answer', timestamp: string, body: string): string {
  return `v1=${createHmac('sha256', secret).update(`${purpose}.${timestamp}.${body}`).digest('hex')}`;
}

function demandSigned(given: string | null, expected: string): void {
  const isEqual =
    given !== null && given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected));
  if (!isEqual) throw failure('SCREENING_ANSWER_INVALID', 'The answer is not signed by the screening service.');
}

function parseAnswer(body: string, question: ScreeningQuestion): ScreeningAnswer {
  const parsed = answerShape.safeParse(parseJson(body));
  if (!parsed.success) throw failure('SCREENING_ANSWER_INVALID', 'The answer has not the agreed form.');
  const { verdict, caseId = null, reason = null } = parsed.data;
  const isAboutIt =
    question.kind === 'WITHDRAWAL'
      ? parsed.data.withdrawalId === question.withdrawalId
      : parsed.data.transferId === question.transferId;
  if (!isAboutIt) throw failure('SCREENING_ANSWER_INVALID', 'The answer is about something else.');
  return verdict === 'pending' ? { kind: 'PENDING' } : { kind: verdict === 'allow' ? 'ALLOW' : 'DENY', caseId, reason };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw failure('SCREENING_ANSWER_INVALID', 'The answer is too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function failure(code: string, message: string, cause?: unknown): RetryableError {
  return new RetryableError(code, message, {}, cause === undefined ? {} : { cause });
}
