/**
 * Opening self-transfers, in the transaction that funds withdrawals and under the same lock of the treasury.
 *
 * Splits come before funding: a treasury whose one large holding every payment takes at once would never have two. Merges come after it, of what is left: for the withdrawal at the head of the queue where the
 * treasury has enough in too many pieces, and only where nobody waits for the pool's sake.
 */
import type { Transaction } from '../../db/connection.ts';
import { type Micros, millisToMicros } from '../../env/clock.ts';
import { insertAttempt } from '../../submissions/attempt-opening.ts';
import type { AttemptLimits } from '../../submissions/attempts.ts';
import { isolated, type OnRefused } from '../../submissions/isolated.ts';
import type { PositionClock } from '../../submissions/position-clock.ts';
import { retryDelayMs } from '../../submissions/retry-delay.ts';
import { type Amount, formatAmount, sumAmounts } from '../../tokens/amount.ts';
import { selfTransferId } from '../../tokens/ids.ts';
import type { TransferJson } from '../../tokens/transfer-record.ts';
import { areMoreThanRead } from '../free-holdings.ts';
import type { FundingState } from '../funding-state.ts';
import { REQUESTED_BEFORE_MS } from '../transfer-times.ts';
import {
  type PlannedSelfTransfer,
  planDustMerge,
  planMergesFor,
  planPoolMerge,
  planSplits,
} from './self-transfer-planning.ts';

/** Metadata key of our own, for those who look at the ledger. */
export const META_SELF_TRANSFER = 'sluice.dev/self-transfer-id';

export type SelfTransferContext = {
  readonly tx: Transaction;
  readonly treasuryId: number;
  readonly party: string;
  readonly clock: PositionClock;
  readonly limits: Pick<AttemptLimits, 'ttlMs'>;
  readonly nowMicros: Micros;
  readonly onRefused: OnRefused;
};

const UNDER_WAY_MAX = 8; // Of one instrument: each costs traffic, and holds funds for as long as it takes.
const FAILURES_MAX = 3; // Then nobody waits for merges any more.
const BACKOFF_MS_MIN = 5_000;
const BACKOFF_MS_MAX = 3_600_000;

/** Whether merging has come to nothing so often that nobody should be made to wait for it. */
export function isMergingInVain({ failures }: Pick<FundingState, 'failures'>): boolean {
  return failures >= FAILURES_MAX;
}

/** @returns how many were opened. */
export async function openSplits(context: SelfTransferContext, state: FundingState): Promise<number> {
  const room = UNDER_WAY_MAX - state.splitsUnderWay - state.mergesUnderWay;
  const { target } = state;
  if (target === null || room <= 0 || !mayTry(state, context.nowMicros)) return 0;
  return await openAll(context, state, planSplits(state.free, poolUnderWay(state, target.amount), target, room));
}

/** @param isQuiet whether nobody waits for this instrument. @returns how many were opened. */
export async function openMerges(context: SelfTransferContext, state: FundingState, isQuiet: boolean): Promise<number> {
  const room = UNDER_WAY_MAX - state.splitsUnderWay - state.mergesUnderWay;
  if (room <= 0 || !mayTry(state, context.nowMicros)) return 0;
  const { free, head, inputsMax, target } = state;
  if (head !== null) {
    // What is under way already is for the head as well, and changes what it takes.
    const seen = sumOf(state);
    const isEnough = seen >= head.amount;
    if (state.mergesUnderWay > 0 || !(isEnough || areMoreThanRead(free))) return 0;
    // Where there is more than is looked at, all of that is merged, and looked at again.
    return await openAll(
      context,
      state,
      planMergesFor(isEnough ? head.amount : seen, free, { inputsMax, plansMax: room, keptCount: head.keptCount }),
    );
  }
  if (!isQuiet || target === null || state.mergesUnderWay > 0) return 0;
  const merge =
    planPoolMerge(free, poolUnderWay(state, target.amount), target, inputsMax) ??
    planDustMerge(free, target.amount, inputsMax);
  return merge === null ? 0 : await openAll(context, state, [merge]);
}

/** Large ones that are not free, and those that will be. */
function poolUnderWay({ largeCount, free, splitsUnderWay, mergesUnderWay }: FundingState, from: Amount): number {
  const reserved = Math.max(0, largeCount - free.filter(({ amount }) => amount >= from).length);
  return reserved + splitsUnderWay + mergesUnderWay;
}

function sumOf({ free }: FundingState): bigint {
  return sumAmounts(free.map(({ amount }) => amount));
}

/** A registry that does not take them is asked less and less often. */
function mayTry({ isStopped, instrumentKey, failures, failedAt }: FundingState, nowMicros: Micros): boolean {
  if (isStopped) return false;
  if (failedAt === null) return true;
  const retry = { id: `pool:${instrumentKey}`, attempts: failures + 1, failedAt };
  const delayMs = retryDelayMs({ ...retry, minMs: BACKOFF_MS_MIN, maxMs: BACKOFF_MS_MAX });
  return nowMicros >= failedAt + millisToMicros(delayMs);
}

async function openAll(
  context: SelfTransferContext,
  state: FundingState,
  plans: readonly PlannedSelfTransfer[],
): Promise<number> {
  let opened = 0;
  for (const plan of plans) {
    if (await openOne(context, state, plan)) opened += 1;
  }
  return opened;
}

async function openOne(
  { tx, treasuryId, party, clock, limits, nowMicros, onRefused }: SelfTransferContext,
  state: FundingState,
  plan: PlannedSelfTransfer,
): Promise<boolean> {
  const inputs = plan.inputs.map(({ contractId }) => contractId);
  const id = selfTransferId(party, inputs, nowMicros);
  const target = clock.recordTime + millisToMicros(limits.ttlMs);
  const transfer: TransferJson = {
    sender: party,
    receiver: party,
    amount: formatAmount(plan.amount),
    instrumentId: { admin: state.admin, id: state.instrumentName },
    requestedAt: (clock.recordTime - millisToMicros(REQUESTED_BEFORE_MS)).toString(),
    executeBefore: (target + millisToMicros(limits.ttlMs)).toString(),
    inputHoldingCids: inputs,
    meta: { values: { [META_SELF_TRANSFER]: id } },
  };
  const refused = await isolated(tx, async () => {
    await tx
      .insertInto('self_transfer')
      .values({
        id,
        treasury_id: treasuryId,
        instrument_id: state.instrumentKey,
        kind: plan.kind,
        why: plan.why,
        amount: formatAmount(plan.amount),
        inputs_count: inputs.length,
        state: 'IN_FLIGHT',
        created_at: nowMicros,
        changed_at: nowMicros,
      })
      .execute();
    await insertAttempt(tx, {
      submissionId: `sb_${id.slice(3)}`,
      purpose: { purpose: 'SELF_TRANSFER', self_transfer_id: id },
      treasuryId,
      instrumentKey: state.instrumentKey,
      clock,
      target,
      transfer,
      inputs,
      nowMicros,
    });
  });
  if (refused !== null) {
    await onRefused(id, refused);
    return false;
  }
  const spent = new Set(inputs);
  state.free = state.free.filter(({ contractId }) => !spent.has(contractId));
  return true;
}
