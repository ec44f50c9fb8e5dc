/**
 * The cursor clients resume with: opaque, versioned, and free of participant offsets, so that it survives failover and validator restore.
 * It names the log it belongs to, so one from another database is refused with the way on and never misread; from before a restore too, where the
 * restored log was given a new epoch (docs/decisions/0002-event-log.md).
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
 * @param log the log as it is now.
 * @throws CursorError CURSOR_FROM_ANOTHER_LOG, CURSOR_AHEAD; both carry `startCursor` and `headCursor` of this log to resume from.
 */
export function checkEventPoint(point: EventPoint, log: { readonly epoch: string; readonly head: bigint }): void {
  const facts = {
    startCursor: formatEventCursor({ epoch: log.epoch, position: 0n }),
    headCursor: formatEventCursor({ epoch: log.epoch, position: log.head }),
  };
  if (point.epoch !== log.epoch) {
    throw new CursorError(
      'CURSOR_FROM_ANOTHER_LOG',
      'The cursor belongs to another event log: the database was restored or replaced. Resume from startCursor, or from headCursor after reading the present state.',
      facts,
    );
  }
  if (point.position > log.head) {
    throw new CursorError('CURSOR_AHEAD', 'The cursor is ahead of the event log: nothing was ever there.', facts);
  }
}

function invalid(): CursorError {
  return new CursorError('CURSOR_INVALID', 'Not a cursor of this API. Pass one back exactly as it was received.');
}
