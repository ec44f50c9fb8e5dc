/**
 * The last that a process has seen of the event log, of the audit, and of what must not move, in a file of its own: what tells, at the next start, that the files of the database were put back meanwhile. Nothing inside the
 * database could.
 */
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { type Clock, type Micros, microsToMillis, millisToMicros } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { AuditMark } from './audit-head.ts';
import type { JsonValue } from './event-log.ts';
import type { LogMark, LogMemory } from './log-history.ts';
import { createReplacedFile } from './replaced-file.ts';

const WRITE_MS = 1_000; // What was committed in the last second before all stopped can go back unnoticed.
const LAST_TRIES = 50; // Another process that is just writing is done within a few of them.
const LAST_TRY_MS = 20;
const IGNORED_MS_MAX = 5_000; // A database is looked at twice a second.

const count = z
  .string()
  .regex(/^\d{1,19}$/)
  .transform(BigInt);
const mark = {
  epoch: z.string(),
  position: count,
  history: z.string(),
  walPosition: count,
};
const audit = z
  .strictObject({ epoch: z.string(), position: count, hash: z.string().regex(/^[0-9a-f]{64}$/) })
  .nullable();
// The first version did not keep what must not move, the second not the head of the audit.
const schema = z.union([
  z.strictObject({ version: z.literal(1), ...mark }).transform((old) => ({ ...old, kept: null, audit: null })),
  z.strictObject({ version: z.literal(2), ...mark, kept: z.json() }).transform((old) => ({ ...old, audit: null })),
  z.strictObject({ version: z.literal(3), ...mark, kept: z.json(), audit }),
]);

export type LogAnchor = { readonly mark: LogMark; readonly kept: JsonValue; readonly audit: AuditMark | null };

/** @returns null where there is no file yet. @throws PermanentError LOG_ANCHOR_UNREADABLE: guessing would defeat its purpose. */
export async function readLogAnchor(path: string): Promise<LogAnchor | null> {
  try {
    const { version: _version, kept, audit, ...mark } = schema.parse(JSON.parse(await readFile(path, 'utf8')));
    return { mark, kept, audit };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new PermanentError(
      'LOG_ANCHOR_UNREADABLE',
      `${path} is not what Sluice wrote there. It tells whether the database went back in time: find out what became of it, then remove it.`,
      { path },
      { cause: error },
    );
  }
}

/**
 * Keeps the file up to date until `signal` aborts, and once more then. A disk that refuses is told of, and tried again. Several processes may keep one file: what is newer stays, whoever writes last.
 */
export async function runLogAnchor(
  path: string,
  env: {
    readonly memory: LogMemory;
    readonly clock: Clock;
    readonly random: Random;
    readonly logger: Logger;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { memory, clock, logger, signal } = env;
  const file = createReplacedFile(path, env);
  let known: LogAnchor | null = null;
  let knownSince: Micros = 0n;
  let isWritten = false;
  let ignoredSince: Micros | null = null;
  /** Whether another epoch that looks newer has stood there for so long that we would have noticed it ourselves: then it only looks so, by a clock that was wrong. */
  const isLongIgnored = (): boolean => {
    ignoredSince ??= clock.nowMicros();
    return microsToMillis(clock.nowMicros() - ignoredSince) >= IGNORED_MS_MAX;
  };
  /** @returns whether there is nothing left to be written. */
  const write = async (): Promise<boolean> => {
    const mark = memory.known();
    if (mark === null) return true;
    const anchor = { mark, kept: memory.kept(), audit: memory.audit() };
    if (known === null || !isSame(known, anchor)) {
      known = anchor;
      knownSince = clock.nowMicros();
      isWritten = false;
    }
    if (isWritten) return true;
    const since = knownSince;
    let isLeft = false;
    try {
      const isMyTurn = await file.replace(async () => {
        const there = await readThere(path);
        const next = there === null ? anchor : newestOf(anchor, since, there);
        isLeft = next === null && !isLongIgnored();
        return isLeft ? null : printAnchor(next ?? anchor);
      });
      isWritten = isMyTurn && !isLeft;
      if (isWritten) ignoredSince = null;
      return isWritten;
    } catch (error) {
      logger.warn('What was seen of the event log could not be written down.', { path, why: messageOf(error) });
      return true;
    }
  };
  while (!signal.aborted) {
    await write();
    await clock.sleep(WRITE_MS, signal);
  }
  for (let tries = 0; tries < LAST_TRIES && !(await write()); tries += 1) await clock.sleep(LAST_TRY_MS);
}

function isSame(one: LogAnchor, other: LogAnchor): boolean {
  return one.mark === other.mark && one.kept === other.kept && one.audit === other.audit;
}

type Written = LogAnchor & { readonly writtenAt: Micros };

/** What another process, or an earlier life of this one, wrote down. @returns null where there is nothing, or nothing that can be read: what we saw is better than that. */
async function readThere(path: string): Promise<Written | null> {
  try {
    const anchor = await readLogAnchor(path);
    if (anchor === null) return null;
    const { mtimeMs } = await stat(path);
    return { ...anchor, writtenAt: millisToMicros(Math.trunc(mtimeMs)) };
  } catch (error) {
    if (error instanceof PermanentError) return null;
    throw error;
  }
}

/**
 * In one epoch and history all that was seen holds together, so that the most of it counts, whoever saw it. Of two epochs nothing here tells which one came first, but when they were seen.
 * @param since when `own` was first known. @returns null: what is there stands.
 */
function newestOf(own: LogAnchor, since: Micros, there: Written): LogAnchor | null {
  const { mark, audit } = own;
  if (mark.epoch !== there.mark.epoch || mark.history !== there.mark.history) {
    return since >= there.writtenAt ? own : null;
  }
  const isAhead = mark.position >= there.mark.position && mark.walPosition >= there.mark.walPosition;
  return {
    mark: {
      ...mark,
      position: larger(mark.position, there.mark.position),
      walPosition: larger(mark.walPosition, there.mark.walPosition),
    },
    kept: isAhead && own.kept !== null ? own.kept : there.kept,
    audit: audit === null || (there.audit !== null && isFurther(there.audit, audit)) ? there.audit : audit,
  };
}

function isFurther(one: AuditMark, other: AuditMark): boolean {
  return one.epoch === other.epoch && one.position > other.position;
}

function larger(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

function printAnchor({ mark, kept, audit }: LogAnchor): string {
  const { epoch, position, history, walPosition } = mark;
  const head = audit && { epoch: audit.epoch, position: String(audit.position), hash: audit.hash };
  const content = {
    version: 3,
    epoch,
    position: String(position),
    history,
    walPosition: String(walPosition),
    kept,
    audit: head,
  };
  return `${JSON.stringify(content)}\n`;
}
