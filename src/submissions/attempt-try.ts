/**
 * One try at an attempt: ask what to exercise, prepare, check, write down, sign, verify, write down, execute, forget the answer.
 *
 * Every try of an attempt has the same inputs and the same last record time, so that however many of them reach the ledger, one commits at most. Before the signer is called the hash is
 * committed, and before execute is called the try is; a crash anywhere leaves a row that says the most that can be in flight. Nothing that fails here ends the attempt once a signature was asked
 * for; before that, only what can never succeed does.
 */
import { checkIntent } from '../custody/intent-check.ts';
import { PREPARATION_TOLERANCE_MICROS } from '../custody/intent-metadata.ts';
import type { Signer, TransferSignature } from '../custody/signer.ts';
import { verifySignature } from '../custody/verify-signature.ts';
import type { Database } from '../db/connection.ts';
import type { LogMemory } from '../db/log-history.ts';
import type { Clock, Micros } from '../env/clock.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Random } from '../env/random.ts';
import { traceParentOf } from '../env/request-id.ts';
import type { Prepared, Submitter } from '../ledger/submission-client.ts';
import type { LedgerView } from './attempt-view.ts';
import { giveUpUnsigned, type OpenAttempt } from './attempts.ts';
import { endRefused } from './signature-refusal.ts';
import type { Lane, SubmissionBudget } from './submission-budget.ts';
import type { Exercise, Planner } from './submission-plan.ts';
import type { Purpose } from './submission-purpose.ts';
import type { TryStore } from './try-store.ts';

export type TryOptions = {
  readonly db: Database;
  readonly submitter: Pick<Submitter, 'prepare' | 'execute'>;
  readonly purpose: Purpose;
  readonly plan: Planner;
  readonly signer: Signer;
  readonly userId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly failpoint: Failpoint;
  /** What all tries of the treasury share; left out: nothing bounds them. */
  readonly budget?: SubmissionBudget;
  /** Of the budget; left out: the first. */
  readonly lane?: Lane;
  /** What this process has seen of the database; left out: nobody looks whether it is still that one. */
  readonly log?: LogMemory;
};

/** `NOT_LET`: the attempt is no longer open, or it may not be signed, or sent, at this moment. */
export type TryOutcome = 'EXECUTED' | 'GIVEN_UP' | 'NOT_LET';

/** @throws whatever the registry, participant or signer threw, or a CustodyRefusal: to be noted, and tried again later. */
export async function tryAttempt(
  options: TryOptions & { readonly store: TryStore },
  attempt: OpenAttempt,
  view: LedgerView,
  nextTryAt: Micros,
): Promise<TryOutcome> {
  const { db, store, purpose, submitter, signer, clock, random, failpoint } = options;
  await store.demandFree(attempt.submissionId);
  const plan = await options.plan(attempt);
  if (plan.kind === 'CANNOT') {
    if (await giveUpUnsigned(db, purpose, attempt, plan.failure, clock.nowMicros())) return 'GIVEN_UP';
    // A signature may exist: only the ledger ends it now. Another try may find things changed.
    throw plan.later;
  }

  const { intent } = plan;
  const prepared = await prepare(options, attempt, plan);
  await failpoint(`${purpose.failpoints}.afterPrepare`);
  const window = { recordTime: view.recordTime, toleranceMicros: PREPARATION_TOLERANCE_MICROS };
  const checked = checkIntent(intent, prepared, window);

  if (
    !(await store.recordSignatureRequest(attempt, {
      hash: checked.hash,
      scheme: checked.scheme,
      nowMicros: clock.nowMicros(),
    }))
  ) {
    // With its reason, where there is one to be shown.
    await store.demandFree(attempt.submissionId);
    return 'NOT_LET';
  }
  await failpoint(`${purpose.failpoints}.afterSignatureRequested`);
  await store.demandFree(attempt.submissionId);
  let signature: TransferSignature;
  try {
    signature = await signer.sign({
      requestId: random.uuid(),
      submissionId: attempt.submissionId,
      attempt: attempt.number,
      earlierAttempts: view.earlier,
      inputsSpentElsewhere: view.inputsSpentElsewhere,
      intent,
      prepared,
      recordTime: view.recordTime,
    });
  } catch (error) {
    if (await endRefused(db, purpose, attempt, error, clock.nowMicros())) return 'GIVEN_UP';
    throw error;
  }
  verifySignature(checked.hash, signature, [await signer.currentKey()]);
  await failpoint(`${purpose.failpoints}.afterSigning`);

  if (prepared.trafficBytes !== undefined) await options.budget?.claimTraffic(prepared.trafficBytes, options.lane);
  // A halt or a freeze is asked about in the same statement.
  if (!(await store.recordTry(attempt, nextTryAt))) {
    await store.demandFree(attempt.submissionId);
    return 'NOT_LET';
  }
  await failpoint(`${purpose.failpoints}.beforeExecute`);
  await submitter.execute({
    userId: options.userId,
    submissionId: random.uuid(),
    party: attempt.treasuryParty,
    preparedTransaction: prepared.preparedTransaction,
    scheme: prepared.scheme,
    signature,
    // Whoever asked finds it again at the update.
    ...(typeof attempt.requestId === 'string' && { traceParent: traceParentOf(attempt.requestId, random) }),
  });
  await failpoint(`${purpose.failpoints}.afterExecute`);
  return 'EXECUTED';
}

function prepare({ submitter, userId }: TryOptions, attempt: OpenAttempt, plan: Exercise): Promise<Prepared> {
  return submitter.prepare({
    userId,
    commandId: plan.intent.commandId,
    actAs: attempt.treasuryParty,
    synchronizerId: attempt.synchronizerId,
    contractId: plan.contractId,
    interfaceId: plan.interfaceId,
    choice: plan.choice,
    argument: plan.argument,
    disclosedContracts: plan.disclosedContracts,
    maxRecordTime: attempt.target,
  });
}
