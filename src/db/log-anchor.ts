/**
 * The last that a process has seen of the event log, of the audit, and of what must not move, in a file of its own: what tells, at the next start, that the files of the database were put back meanwhile. Nothing inside the
 * database could.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { z } from 'zod';
import type { Clock } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { AuditMark } from './audit-head.ts';
import type { JsonValue } from './event-log.ts';
import type { LogMark, LogMemory } from './log-history.ts';

const WRITE_MS = 1_000; // What was committed in the last second before all stopped can go back unnoticed.

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

/** Keeps the file up to date until `signal` aborts, and once more then. A disk that refuses is told of, and tried again. */
export async function runLogAnchor(
  path: string,
  env: { readonly memory: LogMemory; readonly clock: Clock; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const { memory, clock, logger, signal } = env;
  let written: LogMark | null = null;
  let writtenKept: JsonValue = null;
  let writtenAudit: AuditMark | null = null;
  const write = async (): Promise<void> => {
    const mark = memory.known();
    const kept = memory.kept();
    const audit = memory.audit();
    if (mark === null || (mark === written && kept === writtenKept && audit === writtenAudit)) return;
    try {
      await writeAnchor(path, { mark, kept, audit });
      written = mark;
      writtenKept = kept;
      writtenAudit = audit;
    } catch (error) {
      logger.warn('What was seen of the event log could not be written down.', { path, why: messageOf(error) });
    }
  };
  while (!signal.aborted) {
    await write();
    await clock.sleep(WRITE_MS, signal);
  }
  await write();
}

/** Either the old content or the new one is there, whatever stops us. */
async function writeAnchor(path: string, { mark, kept, audit }: LogAnchor): Promise<void> {
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
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(content)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
