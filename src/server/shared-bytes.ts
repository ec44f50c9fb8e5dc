/** Writing bytes that many sockets are sent: what is long is handed over as it is, so that a thousand readers who stand still hold one copy of it and not a thousand. */
import type { Writable } from 'node:stream';

/** Below it a copy is cheaper than a place in the queue of writes. */
const LONG_BYTES_MIN = 1_024;

export const isLong = ({ length }: Buffer): boolean => length >= LONG_BYTES_MIN;

/**
 * Writes `pieces` in their order: the long ones themselves, the short ones between them as one. None may be changed afterwards.
 * @param to a socket, corked by the caller so that it is one call of the system; or a response, which sees to that itself, and must not be corked: it would not notice then that its socket is full.
 */
export function writeShared(to: Writable, pieces: readonly Buffer[]): void {
  let short: Buffer[] = [];
  const flush = (): void => {
    if (short.length > 0) to.write(short.length === 1 ? short[0] : Buffer.concat(short));
    short = [];
  };
  for (const piece of pieces) {
    if (!isLong(piece)) {
      short.push(piece);
      continue;
    }
    flush();
    to.write(piece);
  }
  flush();
}
