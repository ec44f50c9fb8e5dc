/** What tries read and write while they run, gathered: several that run at the same time share a statement. */
import type { Database } from '../db/connection.ts';
import { createGathering } from '../db/gathering.ts';
import { demandKnownLog, type LogMemory } from '../db/log-history.ts';
import type { Micros } from '../env/clock.ts';
import {
  recordSignatureRequest,
  recordSignatureRequests,
  recordTries,
  recordTry,
  type SignatureRequest,
} from './attempt-signing.ts';
import { type LedgerView, viewsOf } from './attempt-view.ts';
import type { OpenAttempt } from './attempts.ts';
import { obstaclesOf } from './free-check.ts';
import type { Purpose } from './submission-purpose.ts';

export type TryStore = {
  viewOf(attempt: OpenAttempt): Promise<LedgerView>;
  /** @throws RetryableError FROZEN or HALTED, where one that is committed when this is called covers it. */
  demandFree(submissionId: string): Promise<void>;
  /** As {@link recordSignatureRequest}; in a database that this process has seen. @throws RetryableError DB_IN_DOUBT where it went back in time. */
  recordSignatureRequest(attempt: OpenAttempt, request: SignatureRequest): Promise<boolean>;
  /** @see recordTry */
  recordTry(attempt: OpenAttempt, nextTryAt: Micros): Promise<boolean>;
};

/** @param log what this process has seen of the database; left out: nobody looks whether it is still that one. */
export function createTryStore(db: Database, purpose: Purpose, log?: LogMemory): TryStore {
  /** In a database that went back in time and was not found out yet, this may be paid already. Right before the statement: whoever gathers may have waited for long, and the database may have failed over meanwhile. */
  const demandKnown = async (): Promise<void> => {
    if (log !== undefined) await demandKnownLog(db, log);
  };
  const views = createGathering(async (attempts: readonly OpenAttempt[]) => await viewsOf(db, attempts));
  const obstacles = createGathering<string, null>(async (submissionIds) => await obstaclesOf(db, submissionIds));
  const requests = createGathering(
    async (asked: readonly { readonly attempt: OpenAttempt; readonly request: SignatureRequest }[]) => {
      await demandKnown();
      return await recordSignatureRequests(db, purpose, asked);
    },
  );
  const tries = createGathering(
    async (asked: readonly { readonly attempt: OpenAttempt; readonly nextTryAt: Micros }[]) =>
      await recordTries(db, asked),
  );
  return {
    viewOf: views,
    demandFree: async (submissionId) => {
      await obstacles(submissionId);
    },
    // What is left out of a set is asked by itself: that one may wait for whoever holds it.
    recordSignatureRequest: async (attempt, request) => {
      if (await requests({ attempt, request })) return true;
      await demandKnown();
      return await recordSignatureRequest(db, purpose, attempt, request);
    },
    recordTry: async (attempt, nextTryAt) =>
      (await tries({ attempt, nextTryAt })) || (await recordTry(db, attempt, nextTryAt)),
  };
}
