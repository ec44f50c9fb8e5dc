/**
 * The proof, before anything is read, that a participant continues the history we have: it is the participant whose offsets we store, and it shows our newest
 * update at the same offset. A node restored from a backup may be healthy and yet give other updates our offsets; reading on would skip money in silence.
 */
import type { Database } from '../db/connection.ts';
import { PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { Treasury } from './effect-sink.ts';
import { bindParticipant, type Position } from './position.ts';
import { updateFormatFor } from './update-format.ts';

/**
 * @returns the position, bound to the participant if it was bound to none.
 * @throws PermanentError PARTICIPANT_CHANGED, HISTORY_CHANGED or OFFSET_AFTER_LEDGER_END: the stream must halt. RetryableError: ask again.
 */
export async function proveContinuity({
  db,
  ledger,
  treasury,
  position,
  logger,
}: {
  readonly db: Database;
  readonly ledger: Ledger;
  readonly treasury: Treasury;
  readonly position: Position;
  readonly logger: Logger;
}): Promise<Position> {
  const participantId = await ledger.participantId(position.participantId);
  if (position.verified === null) {
    logger.info('The stream starts at the beginning.', { participantId });
    return bindParticipant(db, treasury, position, participantId);
  }
  if (position.participantId !== participantId) {
    throw new PermanentError('PARTICIPANT_CHANGED', 'Offsets of another participant are stored.', {
      stored: position.participantId,
      connected: participantId,
    });
  }

  const { updateId, offset } = position.verified;
  const found = await ledger.updateById(updateId, updateFormatFor(treasury.party));
  const foundOffset = found?.update?.value.offset;
  if (foundOffset !== offset) {
    throw new PermanentError('HISTORY_CHANGED', 'Our newest update is not where it was.', {
      updateId,
      storedOffset: offset,
      foundOffset: foundOffset ?? null,
    });
  }
  logger.info('The stream resumes.', { participantId, offset });
  return position;
}
