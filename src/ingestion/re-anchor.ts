/**
 * Finding our place in an offset space that is new to us: a restored validator's, or another participant's. Update ids are the same everywhere, so the node is asked
 * for our newest update, and where that stands is where our history ends in its numbering.
 *
 *   the node has it          a new epoch begins. Reading starts a little before it, at our newest update with a smaller record time: updates of one and the same
 *                            record time (imports and repairs make them) may stand in another order there. What we know comes again and is dropped by its id.
 *   not yet                  a restored node catches up. We wait as long as its record time moves towards ours.
 *   and never will           its record time is past ours and the update is not there: a hole, a fork, or a node that does not show us our party. Halt.
 *
 * A node whose ledger end is below our offset answers OFFSET_AFTER_LEDGER_END, which Canton marks as worth a retry; waiting that out would resume with a hole,
 * so it is never waited for: only our update is.
 */
import type { Database } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { RetryPolicy } from '../env/retry.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { Treasury } from './effect-sink.ts';
import { type EpochReason, startEpoch } from './epochs.ts';
import { hasTakenOver, hasUpdates, newestUpdates } from './known-updates.ts';
import { noteWaiting, type Position } from './position.ts';
import { type ReceivedUpdate, readUpdate } from './received-update.ts';
import { recordTimeOf } from './record-time-of-node.ts';
import { updateFormatFor } from './update-format.ts';
import { requireSame } from './update-identity.ts';

export type AnchorPatience = {
  /** Looks in a row without any movement of the node, and the pauses between them. */
  readonly looks: RetryPolicy;
  /** How long to listen for the node's record time, per look. */
  readonly listenMs: number;
};

export type ReAnchorOptions = {
  readonly db: Database;
  readonly ledger: Ledger;
  readonly treasury: Treasury;
  readonly position: Position;
  readonly participantId: string;
  readonly reason: Extract<EpochReason, 'PARTICIPANT_CHANGED' | 'OFFSETS_CHANGED'>;
  readonly patience: AnchorPatience;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  readonly signal: AbortSignal;
};

/** Older updates that are looked for when the newest is not there, to tell a hole from a history that is pruned. */
const OLDER_COUNT = 50;

/**
 * @returns the position in the new epoch.
 * @throws PermanentError UPDATE_MISSING, HISTORY_PRUNED, NO_ANCHOR or HISTORY_CHANGED: the stream must halt. RetryableError ANCHOR_AWAITED: the node stands still
 * behind us; and others, after which to begin again.
 */
export async function reAnchor(options: ReAnchorOptions): Promise<Position> {
  const { db, ledger, treasury, position, participantId, reason, clock, logger, failpoint } = options;
  const [newest] = await newestUpdates(db, treasury, 1);
  if (newest === undefined) {
    // Nothing of ours to find and nothing to miss: whatever this one shows is new. An opening that found nothing is no such beginning: what came before it is shown too.
    const isNew = !(await hasUpdates(db, treasury)) && !(await hasTakenOver(db, treasury));
    if (isNew && (await ledger.prunedUpTo()) === 0n) return fromTheStart(options);
    throw new PermanentError('NO_ANCHOR', 'Nothing of ours tells where this participant’s history continues.', {
      stored: position.participantId,
      connected: participantId,
    });
  }
  logger.warn('The offsets are others now: looking for our newest update.', {
    reason,
    participantId,
    updateId: newest.updateId,
  });
  await failpoint('continuity.beforeAnchorSearch');
  const anchor = await untilThere(options, newest);
  requireSame(newest, anchor);
  const start = await startBefore(options, newest, anchor);
  await failpoint('continuity.beforeNewEpoch');
  const next = await db.transaction().execute((tx) =>
    startEpoch(tx, treasury, position, {
      reason,
      participantId,
      anchor: { updateId: newest.updateId, offset: anchor.offset },
      resumedOffset: start.offset,
      verified: start.updateId === null ? null : { updateId: start.updateId, offset: start.offset },
      detail: `Update ${newest.updateId} stands at ${anchor.offset}; the position was ${position.offset}.`,
      startedAt: clock.nowMicros(),
    }),
  );
  await failpoint('continuity.afterNewEpoch');
  logger.warn('A new epoch begins at our newest update.', {
    reason,
    epoch: next.epoch,
    participantId,
    anchorUpdateId: newest.updateId,
    anchorOffset: anchor.offset,
    resumedOffset: next.offset,
    previousOffset: position.offset,
  });
  return next;
}

async function fromTheStart({ db, treasury, position, reason, participantId, clock }: ReAnchorOptions) {
  return db.transaction().execute((tx) =>
    startEpoch(tx, treasury, position, {
      reason,
      participantId,
      anchor: null,
      resumedOffset: 0n,
      verified: null,
      detail: 'Nothing had been received before.',
      startedAt: clock.nowMicros(),
    }),
  );
}

/** Waits while the node is behind us. @returns our update as the node shows it. */
async function untilThere(options: ReAnchorOptions, newest: ReceivedUpdate): Promise<ReceivedUpdate> {
  const { db, treasury, position, patience, clock, random, logger, signal } = options;
  const { attemptsMax, delayMsMin, delayMsMax } = patience.looks;
  let reached: Micros | null = null;
  for (let looks = 1; ; looks += 1) {
    const found = await look(options, newest.updateId);
    if (found !== null) return found;
    const nodeTime = await recordTimeOf(options, newest.synchronizerId, patience.listenMs);
    if (nodeTime !== null && nodeTime > newest.recordTime) {
      // It may have come between the two questions.
      return (await look(options, newest.updateId)) ?? (await explainMissing(options, newest, nodeTime));
    }
    if (nodeTime !== null && (reached === null || nodeTime > reached)) {
      reached = nodeTime;
      looks = 1;
    }
    if (looks >= attemptsMax || signal.aborted) {
      throw new RetryableError('ANCHOR_AWAITED', 'The node is behind our newest update and does not come closer.', {
        updateId: newest.updateId,
        recordTime: newest.recordTime,
        nodeRecordTime: nodeTime,
      });
    }
    await noteWaiting(db, treasury, position, `The participant is behind our newest update ${newest.updateId}.`);
    const ceiling = Math.min(delayMsMax, delayMsMin * 2 ** (looks - 1));
    const delayMs = Math.round(ceiling * (0.5 + random.next() / 2));
    logger.info('The node is still behind us.', { nodeRecordTime: nodeTime, recordTime: newest.recordTime, delayMs });
    await clock.sleep(delayMs, signal);
  }
}

async function look({ ledger, treasury }: ReAnchorOptions, updateId: string): Promise<ReceivedUpdate | null> {
  const found = await ledger.updateById(updateId, updateFormatFor(treasury.party));
  return found === null ? null : readUpdate(found);
}

/** @throws PermanentError always: whichever of the reasons it is, nothing may be read on. */
async function explainMissing(options: ReAnchorOptions, newest: ReceivedUpdate, nodeTime: Micros): Promise<never> {
  const { db, ledger, treasury, position } = options;
  const facts = { updateId: newest.updateId, recordTime: newest.recordTime, nodeRecordTime: nodeTime };
  const [, ...older] = await newestUpdates(db, treasury, OLDER_COUNT);
  for (const { updateId } of older) {
    if ((await look(options, updateId)) !== null) {
      throw new PermanentError('UPDATE_MISSING', 'The participant is past our newest update and does not have it.', {
        ...facts,
        olderUpdateId: updateId,
      });
    }
  }
  const prunedUpTo = await ledger.prunedUpTo();
  if (prunedUpTo === 0n) {
    throw new PermanentError(
      'UPDATE_MISSING',
      'The participant shows none of our updates, though it is past them: does it host the party, may we read it, is it the same network?',
      facts,
    );
  }
  throw new PermanentError(
    'HISTORY_PRUNED',
    `The participant has forgotten its history up to ${prunedUpTo}, and all of our updates with it; we stood at ${position.offset} of the one before.`,
    { ...facts, prunedUpTo, positionOffset: position.offset },
  );
}

type Start = { readonly updateId: string | null; readonly offset: bigint };

/** Where to begin so that no update of the newest record time is left out, whatever their order on this node. */
async function startBefore(options: ReAnchorOptions, newest: ReceivedUpdate, anchor: ReceivedUpdate): Promise<Start> {
  const { db, ledger, treasury } = options;
  const atAnchor = { updateId: newest.updateId, offset: anchor.offset };
  const [before] = await newestUpdates(db, treasury, 1, { before: newest.recordTime });
  if (before !== undefined) {
    const found = await look(options, before.updateId);
    if (found !== null) {
      requireSame(before, found);
      return { updateId: before.updateId, offset: found.offset };
    }
    const prunedUpTo = await prunedBefore(ledger, anchor);
    if (prunedUpTo > 0n) return { updateId: null, offset: prunedUpTo };
    throw new PermanentError('UPDATE_MISSING', 'The participant has our newest update and not the one before it.', {
      updateId: before.updateId,
      newerUpdateId: newest.updateId,
    });
  }
  // What lies before an opening balance, or before what was taken over behind a gap, is in it, and must not come again.
  if (await hasTakenOver(db, treasury)) return atAnchor;
  return { updateId: null, offset: await prunedBefore(ledger, anchor) };
}

/** @throws RetryableError ANCHOR_PRUNED: the participant forgot the anchor itself since it showed it; beginning behind it would leave a hole. */
async function prunedBefore(ledger: Ledger, anchor: ReceivedUpdate): Promise<bigint> {
  const prunedUpTo = await ledger.prunedUpTo();
  if (prunedUpTo < anchor.offset) return prunedUpTo;
  throw new RetryableError('ANCHOR_PRUNED', 'The participant forgot our newest update while we looked.', {
    updateId: anchor.updateId,
    anchorOffset: anchor.offset,
    prunedUpTo,
  });
}
