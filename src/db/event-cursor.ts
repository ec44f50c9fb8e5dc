/**
 * The cursor clients resume with: opaque, versioned, and free of participant offsets, so that it survives failover and validator restore.
 * It names the log it belongs to, so one from another database is refused with the way on and never misread; so is one of an event that is gone since the database
 * went back in time (log-history.ts).
 */
import { type ErrorFacts, PermanentError } from '../env/errors.ts';

/** A place in one event log: everything up to and including `position` has been seen. 0 is the start. */
export type EventPoint = { readonly epoch: string; readonly position: bigint };

export type CursorErrorCode = 'CURSOR_INVALID' | 'CURSOR_FROM_ANOTHER_LOG' | 'CURSOR_AHEAD';

/** A cursor that cannot be resumed from. Asking again with the same cursor fails again. */
export class CursorError extends PermanentError {
  declare readonly code: CursorErrorCode;

  constructor(code: CursorErrorCode, message: string, facts: ErrorFacts = {}) {
    super(code, message, facts);
  }
}

const VERSION = '1';
/** Characters; a cursor of ours has about 80. Longer input is not even decoded. */
const CURSOR_LENGTH_MAX = 128;
const CURSOR_PATTERN = /^[A-Za-z0-9_-]+$/;
const CONTENT_PATTERN = /^1\.([0-9a-f]{1,64})\.(0|[1-9][0-9]{0,18})$/;
/** The largest PostgreSQL bigint. */
const POSITION_MAX = 2n ** 63n - 1n;

export function formatEventCursor(point: EventPoint): string {
  return Buffer.from(`${VERSION}.${point.epoch}.${point.position}`, 'latin1').toString('base64url');
}

/**
 * Reads a cursor as hostile input: only what {@link formatEventCursor} prints, byte for byte, is accepted.
 * @throws CursorError CURSOR_INVALID.
 */
export function parseEventCursor(text: string): EventPoint {
  if (text.length > CURSOR_LENGTH_MAX || !CURSOR_PATTERN.test(text)) throw invalid();
  const match = CONTENT_PATTERN.exec(Buffer.from(text, 'base64url').toString('latin1'));
  if (match === null) throw invalid();
  const point = { epoch: match[1] ?? '', position: BigInt(match[2] ?? '0') };
  if (point.position > POSITION_MAX || formatEventCursor(point) !== text) throw invalid();
  return point;
}

/**
 * @param log the log as it is now; `sharedPosition`: how far the cursor's epoch is also the present one, where it is another one; null: not at all.
 * @returns the place in the present epoch.
 * @throws CursorError CURSOR_FROM_ANOTHER_LOG, CURSOR_AHEAD; both carry `startCursor` and `headCursor` of this log to resume from, and `resumeCursor`, the last that both
 * epochs have in common, where they have anything.
 */
export function checkEventPoint(
  point: EventPoint,
  log: { readonly epoch: string; readonly head: bigint; readonly sharedPosition?: bigint | null },
): EventPoint {
  const { epoch, head, sharedPosition = null } = log;
  const cursorAt = (position: bigint): string => formatEventCursor({ epoch, position });
  const facts = { startCursor: cursorAt(0n), headCursor: cursorAt(head) };
  if (point.epoch !== epoch) {
    if (sharedPosition === null) {
      throw new CursorError(
        'CURSOR_FROM_ANOTHER_LOG',
        'The cursor belongs to another event log: the database was restored or replaced. Resume from startCursor, or from headCursor after reading the present state.',
        facts,
      );
    }
    if (point.position > sharedPosition) {
      throw new CursorError(
        'CURSOR_FROM_ANOTHER_LOG',
        'The cursor is of an event that is gone: the database went back in time. Resume from resumeCursor; what you received after it may come again, or never have happened.',
        { ...facts, resumeCursor: cursorAt(sharedPosition) },
      );
    }
  }
  if (point.position > head) {
    throw new CursorError('CURSOR_AHEAD', 'The cursor is ahead of the event log: nothing was ever there.', facts);
  }
  return { epoch, position: point.position };
}

function invalid(): CursorError {
  return new CursorError('CURSOR_INVALID', 'Not a cursor of this API. Pass one back exactly as it was received.');
}
