/** What a client of withdrawals is told while it is not yet certain what a database that went back in time has lost. */
import { DatabaseRestoredError } from '../db/database-restore.ts';
import type { Micros } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-interface.ts';

export class WithdrawalsRestoringError extends RetryableError {
  readonly safeRecordTime: Micros;
  readonly advice = {
    why: 'Something that was asked for and signed before the database went back may still be paid, and only the ledger can tell.',
    fix: 'Ask again, with the same key, when ingestion has passed `safeRecordTime`. What was paid is then found under its key.',
  };
  constructor(cause: DatabaseRestoredError) {
    super(cause.code, cause.message, {}, { cause });
    this.safeRecordTime = cause.safeRecordTime;
  }
}

/** @returns a refusal because of a restore as clients see it; anything else as it is. */
export function restoringErrorOf(error: unknown): unknown {
  return error instanceof DatabaseRestoredError ? new WithdrawalsRestoringError(error) : error;
}

builder.objectType(WithdrawalsRestoringError, {
  name: 'WithdrawalsRestoringError',
  description:
    'The database went back in time, and the ledger has not been read far enough since. Code `DB_RESTORED`. Scope: `withdrawals`. Since 0.1.',
  authScopes: { withdrawals: true },
  interfaces: [ErrorInterface],
  fields: (t) => ({
    safeRecordTime: t.expose('safeRecordTime', {
      type: 'RecordTime',
      description:
        'From this record time on nothing that was lost can be paid any more; compare with `freshness.recordTime`. Scope: `withdrawals`. Since 0.1.',
    }),
  }),
});
