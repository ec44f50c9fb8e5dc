/** The ambient clock, randomness and log, behind the interfaces the logic takes. The only file beside adapters that may touch them. */
import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import type { Clock } from './clock.ts';
import type { LogFields, Logger } from './logger.ts';
import { type Random, uuidOf } from './random.ts';

export const systemClock: Clock = {
  // Not performance.now(): that one stands still while the machine sleeps and never follows a correction of the clock.
  nowMicros: () => BigInt(Date.now()) * 1_000n,
  sleep: async (durationMs, signal) => {
    try {
      await delay(durationMs, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  },
  elapsedMs: () => performance.now(),
};

const RANDOM_RANGE = 2 ** 47; // Below the 2^48 that randomInt allows; far finer than any jitter needs.

export const systemRandom: Random = {
  next: () => randomInt(RANDOM_RANGE) / RANDOM_RANGE,
  bytes: (length) => randomBytes(length),
  uuid: () => uuidOf(randomBytes(16)),
};

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * JSON lines on standard error (standard output belongs to the commands' own answers).
 * @param level lines below it are dropped.
 */
export function createSystemLogger(level: LogLevel): Logger {
  const wrap = (target: ReturnType<typeof pino>): Logger => ({
    debug: (message, fields: LogFields = {}) => target.debug(fields, message),
    info: (message, fields: LogFields = {}) => target.info(fields, message),
    warn: (message, fields: LogFields = {}) => target.warn(fields, message),
    error: (message, fields: LogFields = {}) => target.error(fields, message),
    child: (fields) => wrap(target.child(fields)),
  });
  return wrap(pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2)));
}
