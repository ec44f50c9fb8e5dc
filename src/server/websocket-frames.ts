/**
 * Text frames of the WebSocket protocol, written to the socket itself: several in one write, around text that many sockets share. Only where nothing is compressed and whoever else writes frames
 * writes whole ones. @see RFC 6455, section 5.2; frames of a server are not masked.
 */
import type { Duplex, Writable } from 'node:stream';
import type { Sink } from './fan-out.ts';
import { isLong, writeShared } from './shared-bytes.ts';

/** FIN and the opcode of text. */
const TEXT = 0x81;
const MEDIUM = 126;
const LONG = 127;
const SUFFIX = Buffer.from('}');

/** @returns one frame for each answer, with `prefix` before it and the end of the object after it. */
export function framesOf(prefix: Buffer, answers: readonly Buffer[]): Buffer {
  const around = prefix.length + SUFFIX.length;
  let size = 0;
  for (const { length } of answers) size += headerLength(around + length) + around + length;
  const frames = Buffer.allocUnsafe(size);
  let at = 0;
  for (const answer of answers) {
    at = writeHeader(frames, at, around + answer.length);
    at += prefix.copy(frames, at);
    at += answer.copy(frames, at);
    at += SUFFIX.copy(frames, at);
  }
  return frames;
}

/** The same frames, in pieces: the answers themselves between what is around each. */
function piecesOf(prefix: Buffer, answers: readonly Buffer[]): Buffer[] {
  return answers.flatMap((answer) => {
    const length = prefix.length + answer.length + SUFFIX.length;
    const front = Buffer.allocUnsafe(headerLength(length) + prefix.length);
    prefix.copy(front, writeHeader(front, 0, length));
    return [front, answer, SUFFIX];
  });
}

function headerLength(length: number): number {
  if (length < MEDIUM) return 2;
  return length < 65_536 ? 4 : 10;
}

function writeHeader(frames: Buffer, start: number, length: number): number {
  frames[start] = TEXT;
  if (length < MEDIUM) {
    frames[start + 1] = length;
  } else if (length < 65_536) {
    frames[start + 1] = MEDIUM;
    frames.writeUInt16BE(length, start + 2);
  } else {
    frames[start + 1] = LONG;
    frames.writeBigUInt64BE(BigInt(length), start + 2);
  }
  return start + headerLength(length);
}

/** Tells when a socket has taken all that was queued. One for all subscriptions of the socket. */
export type Drain = { untilDrained(): Promise<void> };

export function createDrain(socket: Writable): Drain {
  let waiting: PromiseWithResolvers<void> | null = null;
  const settle = (): void => {
    waiting?.resolve();
    waiting = null;
  };
  socket.on('drain', settle);
  socket.once('close', settle);
  return {
    untilDrained: async () => {
      // `drain` comes only after a write was told to wait.
      if (!socket.writableNeedDrain || socket.destroyed) return;
      waiting ??= Promise.withResolvers<void>();
      await waiting.promise;
    },
  };
}

/** @param isOpen false: a closing handshake has begun, and no data may follow it. */
export function createFrameSink(id: string, socket: Duplex, drain: Drain, isOpen: () => boolean): Sink {
  const prefix = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`);
  return {
    send: (answers) => {
      if (!isOpen()) return;
      if (!answers.some(isLong)) {
        socket.write(framesOf(prefix, answers));
        return;
      }
      socket.cork();
      writeShared(socket, piecesOf(prefix, answers));
      socket.uncork();
    },
    pendingBytes: () => socket.writableLength,
    drained: drain.untilDrained,
  };
}
