/** What is screened. How a question is put, put off and put again is the same for deposits and withdrawals (screening-loop.ts); this is what differs. */
import type { RawBuilder } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { ScreeningQuestion } from './screening-client.ts';
import type { RecordedVerdict, Verdict } from './screening-verdict.ts';

/** One that is due: its key, how often it was asked in a row without an answer, and what is asked. */
export type DueQuestion<Question extends ScreeningQuestion> = {
  readonly id: string;
  readonly tries: number;
  readonly question: Question;
};

export type ScreeningKind<Question extends ScreeningQuestion = ScreeningQuestion> = {
  /** Of the loop, for log lines. */
  readonly name: string;
  /** The table with its questions: `state`, `tries`, `next_try_at` and `last_error` are the loop's. */
  readonly table: RawBuilder<unknown>;
  /** Its key, text. */
  readonly key: RawBuilder<unknown>;
  /** Reads what is asked of those whose try was just counted. One that is left out is asked no more this turn. */
  questionsOf(db: Database, ids: readonly string[]): Promise<readonly Omit<DueQuestion<Question>, 'tries'>[]>;
  /** Does what a verdict does, if it is still asked for. PARKED: something contradicts it, and somebody must look. */
  record(
    tx: Transaction,
    due: Pick<DueQuestion<Question>, 'id' | 'question'>,
    verdict: Verdict,
    nowMicros: Micros,
  ): Promise<RecordedVerdict>;
  /** Puts questions that nobody put, from time to time. */
  catchUp?(db: Database, nowMicros: Micros): Promise<void>;
};
