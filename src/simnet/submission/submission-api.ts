/** The submission side of one participant's Ledger API: prepare, execute, what became of it, and which packages to use. */
import { millisToMicros, timestampToMicros } from '../../env/clock.ts';
import { Completion } from '../../gen/com/daml/ledger/api/v2/completion.ts';
import type {
  ExecuteSubmissionAndWaitRequest,
  ExecuteSubmissionAndWaitResponse,
  ExecuteSubmissionRequest,
  ExecuteSubmissionResponse,
  GetPreferredPackagesRequest,
  GetPreferredPackagesResponse,
  PrepareSubmissionRequest,
  PrepareSubmissionResponse,
} from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { cantonError, isCantonError, statusOf } from '../ledger/canton-error.ts';
import type { ContractLock } from '../ledger/contract-store.ts';
import { updateId } from '../ledger/ids.ts';
import { knownRefusal } from '../ledger/known-refusals.ts';
import { RESPONSE_TRAFFIC, trafficCost } from '../ledger/ledger.ts';
import { type Accepted, accept, confirmTimes, reinterpret } from './execute.ts';
import { prepare } from './prepare.ts';
import type { SubmissionContext } from './submission-context.ts';

type Options = { readonly signal?: AbortSignal; readonly traceParent?: string };

export type SubmissionApi = {
  prepareSubmission(request: PrepareSubmissionRequest, options?: Options): Promise<PrepareSubmissionResponse>;
  /** Answers when the submission is on its way. */
  executeSubmission(request: ExecuteSubmissionRequest, options?: Options): Promise<ExecuteSubmissionResponse>;
  /** Answers when it has a verdict. */
  executeSubmissionAndWait(
    request: ExecuteSubmissionAndWaitRequest,
    options?: Options,
  ): Promise<ExecuteSubmissionAndWaitResponse>;
  getPreferredPackages(request: GetPreferredPackagesRequest, options?: Options): Promise<GetPreferredPackagesResponse>;
};

/** A refusal of Canton's. */
type Refused = ReturnType<typeof cantonError>;

/** Accepted commands to remember: many times what 30 s of any load bring. */
const ACCEPTED_MAX = 20_000;
const OK = { code: 0, message: '', details: [] };

type Verdict =
  | { readonly kind: 'committed'; readonly updateId: string; readonly offset: bigint }
  | { readonly kind: 'rejected'; readonly error: Refused };

export function createSubmissionApi(context: SubmissionContext): SubmissionApi & {
  /** As after a restore: no submission is under way, none was accepted before. */
  forget(): void;
} {
  const { clock, synchronizer, history, sequencing, faults, vetting } = context;
  const inFlight = new Set<string>();
  let lives = {};
  const acceptedBefore = new Map<
    string,
    { readonly atMicros: bigint; readonly offset: bigint; readonly submissionId: string }
  >();

  const complete = (
    accepted: Accepted,
    verdict: Verdict,
    offset: bigint,
    recordTimeMicros: bigint,
    cost: bigint,
  ): void => {
    const { request, actAs, commandId } = accepted;
    const isCommitted = verdict.kind === 'committed';
    const status = isCommitted ? OK : statusOf(verdict.error.refusal);
    const truth = Completion.fromPartial({
      commandId,
      status,
      updateId: isCommitted ? verdict.updateId : '',
      userId: request.userId,
      actAs: [...actAs],
      submissionId: request.submissionId,
      offset,
      paidTrafficCost: cost,
    });
    truth.deduplicationPeriod = request.deduplicationPeriod;
    switch (faults.completionLie()) {
      case 'missing':
        return;
      case 'otherCommand':
        context.completions.add({ ...truth, commandId: `${commandId}-other` }, recordTimeMicros);
        return;
      case 'inverted': {
        const opposite = isCommitted
          ? { status: statusOf(knownRefusal('LOCAL_VERDICT_INACTIVE_CONTRACTS')), updateId: '' }
          : {
              status: OK,
              updateId: updateId(Buffer.from(accepted.hash).toString('hex')),
            };
        context.completions.add({ ...truth, ...opposite }, recordTimeMicros);
        return;
      }
      case undefined:
        context.completions.add(truth, recordTimeMicros);
    }
  };

  /**
   * Tells this node of a verdict when it comes to it.
   * @param life in which it was submitted. @returns undefined when the node forgot the submission before.
   */
  const learnt = async (life: object, tell: () => Verdict): Promise<Verdict | undefined> => {
    if (life !== lives) return undefined;
    let verdict: Verdict | undefined;
    let settle: (() => void) | undefined;
    let isLost = false;
    context.intake.take({
      recordTimeMicros: undefined,
      synchronizerId: synchronizer.synchronizerId,
      process: () => {
        verdict = tell();
        settle?.();
      },
      lose: () => {
        isLost = true;
        settle?.();
      },
    });
    if (verdict === undefined && !isLost) {
      await new Promise<void>((resolve) => {
        settle = resolve;
      });
    }
    return verdict;
  };

  /** From the participant to the verdict. A refusal is a verdict; anything else that is thrown is a bug of ours and ends the process. */
  const sequence = async (accepted: Accepted, extraDelayMs: number): Promise<Verdict | undefined> => {
    if (!(await sequencing.travel(extraDelayMs))) return undefined;
    const life = lives;
    const ledger = context.ledger();
    let lock: ContractLock | undefined;
    let paid = 0n;
    try {
      const duplicate = duplicateOf(accepted);
      if (duplicate !== undefined) throw duplicate;
      const verdict = faults.verdict();
      if (verdict !== undefined) throw cantonError(verdict);
      sequencing.admit(accepted.metadata.transactionUuid, clock.nowMicros());
      const interpreted = reinterpret(context, accepted);
      // Whatever becomes of it: what was sequenced is paid.
      paid = charged(trafficCost(interpreted.tree) + RESPONSE_TRAFFIC);
      lock = ledger.contracts.lock(interpreted.tree);
      if (synchronizer.isUpgrading()) throw cantonError(knownRefusal('SEQUENCER_SUBMISSION_AFTER_UPGRADE_TIME'));
      if (!(await sequencing.confirm())) return undefined;
      // Sequenced before the upgrade, its confirmations come too late.
      if (synchronizer.isUpgrading()) throw cantonError(knownRefusal('MEDIATOR_SAYS_TX_TIMED_OUT'));
      const committed = ledger.commit(interpreted, {
        via: context,
        commandId: accepted.commandId,
        externalTransactionHash: accepted.hash,
        ...(accepted.traceParent !== undefined && { traceParent: accepted.traceParent }),
        lock,
        confirm: (recordTimeMicros) => confirmTimes(accepted, recordTimeMicros),
      });
      return await learnt(life, () => {
        const offset = history.byUpdateId(committed.updateId)?.offset ?? history.takeOffset();
        const verdict: Verdict = { kind: 'committed', updateId: committed.updateId, offset };
        acceptedBefore.set(changeIdOf(accepted), {
          atMicros: clock.nowMicros(),
          offset,
          submissionId: accepted.request.submissionId,
        });
        for (const oldest of acceptedBefore.keys()) {
          if (acceptedBefore.size <= ACCEPTED_MAX) break;
          acceptedBefore.delete(oldest);
        }
        complete(accepted, verdict, offset, committed.recordTimeMicros, trafficCost(interpreted.tree));
        return verdict;
      });
    } catch (error) {
      if (!isCantonError(error)) throw error;
      const recordTimeMicros = synchronizer.observe();
      return await learnt(life, () => {
        const verdict: Verdict = { kind: 'rejected', error };
        complete(accepted, verdict, history.takeOffset(), recordTimeMicros, paid);
        return verdict;
      });
    } finally {
      lock?.release();
    }
  };

  const charged = (bytes: bigint): bigint => {
    const taken = context.traffic.charge(bytes);
    if (taken === null) throw cantonError(knownRefusal('SEQUENCER_NOT_ENOUGH_TRAFFIC_CREDIT'));
    return taken;
  };

  const duplicateOf = (accepted: Accepted): Refused | undefined => {
    const earlier = acceptedBefore.get(changeIdOf(accepted));
    if (earlier === undefined || context.deduplicationMs === undefined) return undefined;
    const period = accepted.request.deduplicationPeriod;
    const blocks =
      period?.$case === 'deduplicationOffset'
        ? earlier.offset > period.value
        : clock.nowMicros() - earlier.atMicros <=
          (period === undefined ? millisToMicros(context.deduplicationMs) : timestampToMicros(period.value));
    return blocks ? duplicateCommand(earlier) : undefined;
  };

  const start = (request: ExecuteSubmissionRequest, traceParent?: string): Promise<Verdict | undefined> => {
    requireReady();
    const accepted = { ...accept(context, request), ...(traceParent !== undefined && { traceParent }) };
    // The node knows what it has left, and sends nothing that it could not pay for.
    if (!context.traffic.isEnough(RESPONSE_TRAFFIC)) {
      throw cantonError(knownRefusal('SEQUENCER_NOT_ENOUGH_TRAFFIC_CREDIT'));
    }
    const changeId = changeIdOf(accepted);
    const lie = faults.deduplicationLie();
    if (lie?.lie === 'forgotten') {
      inFlight.delete(changeId);
      acceptedBefore.delete(changeId);
    } else if (lie !== undefined) {
      if (lie.isTaken === true) void submit(accepted, changeId);
      throw lie.lie === 'DUPLICATE_COMMAND'
        ? duplicateCommand({ submissionId: 'never-was', offset: 0n })
        : alreadyInFlight(changeId);
    }
    if (inFlight.has(changeId)) throw alreadyInFlight(changeId);
    return submit(accepted, changeId);
  };

  const submit = (accepted: Accepted, changeId: string): Promise<Verdict | undefined> => {
    if (faults.isDropped()) return Promise.resolve(undefined);
    inFlight.add(changeId);
    const isDuplicated = faults.isDuplicated();
    const outcome = (async () => {
      const verdict = await sequence(accepted, faults.delayMs());
      inFlight.delete(changeId);
      if (isDuplicated) await sequence(accepted, 0);
      return verdict;
    })();
    return outcome;
  };

  /** While a node replays what it missed, it takes part in nothing new. */
  const requireReady = (): void => {
    if (!context.intake.isReplaying()) return;
    throw cantonError({
      code: 'SUBMISSION_SYNCHRONIZER_NOT_READY',
      category: 'resourceMissing',
      text: `Not connected to synchronizer ${synchronizer.synchronizerId}: the node is replaying what it missed`,
      definiteAnswer: true,
    });
  };

  return {
    forget: () => {
      lives = {};
      inFlight.clear();
      acceptedBefore.clear();
    },
    prepareSubmission: async (request, options) => {
      requireReady();
      const response = prepare(context, request, faults.prepareLie());
      await faults.answer('prepare', options?.signal);
      return response;
    },
    executeSubmission: async (request, options) => {
      void start(request, options?.traceParent);
      await faults.answer('execute', options?.signal);
      return {};
    },
    executeSubmissionAndWait: async (request, options) => {
      const verdict = await start(request, options?.traceParent);
      await faults.answer('execute', options?.signal);
      switch (verdict?.kind) {
        case 'committed':
          return { updateId: verdict.updateId, completionOffset: verdict.offset };
        case 'rejected':
          throw verdict.error;
        case undefined:
          throw cantonError({
            code: 'REQUEST_TIME_OUT',
            category: 'deadlineExceeded',
            text: 'Timed out while awaiting for a completion corresponding to a command submission',
            definiteAnswer: false,
          });
      }
    },
    getPreferredPackages: async ({ packageVettingRequirements, synchronizerId }) => ({
      packageReferences: packageVettingRequirements.map(({ packageName, parties }) =>
        vetting.preferred(packageName, parties),
      ),
      synchronizerId: synchronizerId === '' ? synchronizer.synchronizerId : synchronizerId,
    }),
  };
}

function duplicateCommand(earlier: { readonly submissionId: string; readonly offset: bigint }): Refused {
  return cantonError({
    code: 'DUPLICATE_COMMAND',
    category: 'resourceExists',
    text: 'A command with the given command id has already been successfully processed',
    metadata: { existing_submission_id: earlier.submissionId, completion_offset: String(earlier.offset) },
    definiteAnswer: false,
  });
}

function alreadyInFlight(changeId: string): Refused {
  return cantonError({
    code: 'SUBMISSION_ALREADY_IN_FLIGHT',
    category: 'contention',
    text: 'The submission is already in-flight',
    metadata: { changeId },
  });
}

function changeIdOf({ request, actAs, commandId }: Accepted): string {
  return JSON.stringify([request.userId, [...actAs].sort(), commandId]);
}

/** @returns whether a completion is the reader's. @param parties none: everybody's. */
export function completionFilter({
  userId,
  parties,
}: {
  readonly userId?: string;
  readonly parties: readonly string[];
}): (completion: Completion) => boolean {
  return (completion) =>
    (userId === undefined || completion.userId === userId) &&
    (parties.length === 0 || completion.actAs.some((party) => parties.includes(party)));
}
