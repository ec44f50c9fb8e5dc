/**
 * The proof, before anything is read, that a participant continues the history we have, and the place from which to read on.
 *
 * A node restored from a backup may be healthy and give our offsets to other updates, or to none yet; another participant numbers from scratch. Reading on from
 * a stored offset would then skip money in silence. So our newest updates must stand where they stood, with the same content:
 *
 *   they do                  the offsets are still the same ones; read on from the newest of them, never from a checkpoint beyond it, because a restored node may
 *                            number otherwise what lies between. What we know comes again and is dropped by its id.
 *   one stands elsewhere     other offsets: find the place by the ids (`re-anchor.ts`).
 *   all of them are pruned   a quiet treasury. The contracts that are left prove the same: what is active must be what we hold, created where we saw it created.
 *   pruned beyond us         something may have happened that nobody can show us any more: halt, with both offsets.
 */
import type { Database } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { BatchWriter } from './batch-writer.ts';
import { proveByContracts } from './contract-proof.ts';
import type { Treasury } from './effect-sink.ts';
import { epochRow, noteEpoch, resumeAt } from './epochs.ts';
import { type PlacedUpdate, placedUpdates } from './known-updates.ts';
import { beginHistory, type Opening } from './opening.ts';
import type { Position } from './position.ts';
import { type AnchorPatience, reAnchor } from './re-anchor.ts';
import { readUpdate } from './received-update.ts';
import { updateFormatFor } from './update-format.ts';
import { requireSame } from './update-identity.ts';

export type ContinuityOptions = {
  readonly db: Database;
  readonly ledger: Ledger;
  readonly treasury: Treasury;
  readonly writer: BatchWriter;
  readonly opening: Opening;
  readonly position: Position;
  readonly patience: AnchorPatience;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  /** Aborts when the lease is lost or the process ends. */
  readonly signal: AbortSignal;
};

/** Newest updates that must be where they were. One would do against renumbering; five leave no room for a coincidence after a fork. */
const PROOF_COUNT = 5;

/**
 * @returns the position to read on from, bound to the participant that answered.
 * @throws PermanentError with a code of POSITION_IN_DOUBT: the stream must halt. RetryableError: ask again.
 */
export async function proveContinuity(options: ContinuityOptions): Promise<Position> {
  const { db, ledger, treasury, position, logger } = options;
  const participantId = await ledger.participantId(position.participantId);
  const epoch = await epochRow(db, treasury, position.epoch);
  if (epoch === undefined && position.verified === null) return beginHistory({ ...options, participantId });
  if (position.participantId !== participantId) {
    return reAnchor({ ...options, participantId, reason: 'PARTICIPANT_CHANGED' });
  }

  if (epoch === undefined) await noteEpoch(options, participantId);
  const resumeOffset = position.verified?.offset ?? epoch?.resumedOffset ?? 0n;
  const ours = await placedUpdates(db, treasury, position, PROOF_COUNT);
  const proof = await compare(options, ours);
  switch (proof.kind) {
    case 'MOVED':
      logger.warn('Our updates are not where they were.', { ...proof.facts });
      return reAnchor({ ...options, participantId, reason: 'OFFSETS_CHANGED' });
    case 'PROVEN': {
      // Where the newest of all is an import, which a restored node may have done otherwise, only what is older was proven.
      const [newest] = ours;
      const isBeyondProof = newest !== undefined && newest.offset < resumeOffset;
      const verified = isBeyondProof ? { updateId: newest.update.updateId, offset: newest.offset } : position.verified;
      const offset = isBeyondProof ? newest.offset : resumeOffset;
      logger.info('The stream resumes.', { participantId, offset });
      return resumeAt(db, treasury, position, { offset, verified });
    }
    case 'NOTHING_TO_COMPARE': {
      const prunedUpTo = await ledger.prunedUpTo();
      if (prunedUpTo > position.offset) throw prunedBeyond(position.offset, prunedUpTo);
      const offset = prunedUpTo > resumeOffset ? prunedUpTo : resumeOffset;
      if ((await ledger.ledgerEnd()).offset < offset) {
        return reAnchor({ ...options, participantId, reason: 'OFFSETS_CHANGED' });
      }
      await proveByContracts(options, offset);
      logger.info('The stream resumes; its updates are pruned, its contracts are there.', { participantId, offset });
      return resumeAt(db, treasury, position, { offset, verified: position.verified });
    }
  }
}

type Proof =
  | { readonly kind: 'PROVEN' }
  | { readonly kind: 'MOVED'; readonly facts: Readonly<Record<string, unknown>> }
  | { readonly kind: 'NOTHING_TO_COMPARE' };

/** @throws PermanentError HISTORY_CHANGED when an update is where it was and says something else. */
async function compare({ ledger, treasury }: ContinuityOptions, ours: readonly PlacedUpdate[]): Promise<Proof> {
  const format = updateFormatFor(treasury.party);
  const found = await Promise.all(ours.map(({ update }) => ledger.updateById(update.updateId, format)));
  const missing: PlacedUpdate[] = [];
  for (const [index, { update, offset }] of ours.entries()) {
    const theirs = found[index];
    if (theirs === null || theirs === undefined) {
      missing.push({ update, offset });
      continue;
    }
    const shown = readUpdate(theirs);
    if (shown.offset !== offset) {
      const facts = { updateId: update.updateId, storedOffset: offset, foundOffset: shown.offset };
      return { kind: 'MOVED', facts };
    }
    requireSame(update, shown);
  }
  // Older ones may be pruned meanwhile; that says nothing about the others.
  const prunedUpTo = missing.length === 0 ? 0n : await ledger.prunedUpTo();
  const lost = missing.find(({ offset }) => offset > prunedUpTo);
  if (lost !== undefined) {
    return { kind: 'MOVED', facts: { updateId: lost.update.updateId, storedOffset: lost.offset, foundOffset: null } };
  }
  return { kind: missing.length === ours.length ? 'NOTHING_TO_COMPARE' : 'PROVEN' };
}

/** What a participant has forgotten beyond our position, nobody can tell from it any more. */
export function prunedBeyond(positionOffset: bigint, prunedUpTo: bigint): PermanentError {
  return new PermanentError(
    'PARTICIPANT_PRUNED_DATA_ACCESSED',
    `The participant has forgotten its history up to ${prunedUpTo}; we have it up to ${positionOffset}.`,
    { positionOffset, prunedUpTo },
  );
}
