/**
 * The head of the audit chain as a process has seen it, outside the database (log-anchor.ts). The chain itself shows what was changed within it; whoever owns the tables can still cut its end off, or compute all
 * hashes anew. Then the entry that stood at the head is gone or another one: the past of the audit was changed, all money stands still until people have looked, and a freeze that is lifted comes back for as long as
 * what was seen is held to be true.
 */
import { sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Database } from './connection.ts';

export type AuditMark = {
  /** Of the event log: one that ended says that the database went back, which has its own freeze. */
  readonly epoch: string;
  /** Of the newest entry; 0: there was none. */
  readonly position: bigint;
  /** SHA-256 of the newest entry, in hex. */
  readonly hash: string;
};

export type AuditHead = AuditMark & {
  /** The hash of the entry that stands where `known` did; null: none does. */
  readonly hashAtKnown: string | null;
};

export type AuditDoubt = 'CUT_OFF' | 'REWRITTEN';

/** Why the audit stands for no more than its owner's word. Stays open: `DATABASE_WENT_BACK` is another one. */
export const AUDIT_CHANGED = 'AUDIT_CHANGED';

/** @returns null on a standby, which may lag. */
export async function readAuditHead(db: Database, known: AuditMark | null): Promise<AuditHead | null> {
  const { rows } = await sql<AuditHead & { readonly isStandby: boolean }>`
    SELECT log.epoch, chain.position, encode(chain.hash, 'hex') AS hash, pg_is_in_recovery() AS "isStandby",
      (SELECT encode(entry.hash, 'hex') FROM audit_entry AS entry WHERE entry.position = ${known?.position ?? 0n}::bigint) AS "hashAtKnown"
    FROM event_log AS log, audit_chain AS chain`.execute(db);
  const [head] = rows;
  return head === undefined || head.isStandby ? null : head;
}

/** @returns null where nothing speaks against `head` being what became of `known`. */
export function auditDoubtOf(head: AuditHead, known: AuditMark | null): AuditDoubt | null {
  if (known === null || known.epoch !== head.epoch) return null;
  if (head.position < known.position) return 'CUT_OFF';
  if (head.position === known.position && head.hash !== known.hash) return 'REWRITTEN';
  return known.position === 0n || head.hashAtKnown === known.hash ? null : 'REWRITTEN';
}

/** For people. */
export function describeAuditDoubt(doubt: AuditDoubt, head: AuditHead, known: AuditMark): string {
  const was = `Entry ${known.position} of the audit with hash ${known.hash} had been seen`;
  return doubt === 'CUT_OFF'
    ? `${was}; now the audit ends at ${head.position}.`
    : `${was}; now it is ${head.hashAtKnown ?? 'not there'}, and the head is ${head.position} with ${head.hash}.`;
}

/** Freezes everything, unless that stands already. A role that may not leaves it to those that may. */
export async function freezeForAudit(
  db: Database,
  {
    detail,
    position,
    nowMicros,
    logger,
  }: { readonly detail: string; readonly position: bigint; readonly nowMicros: Micros; readonly logger: Logger },
): Promise<void> {
  const standing = await sql`SELECT FROM money_freeze WHERE reason = ${AUDIT_CHANGED} AND lifted_at IS NULL`.execute(
    db,
  );
  if (standing.rows.length > 0) return;
  try {
    const { numAffectedRows = 0n } = await sql`
      INSERT INTO money_freeze (reason, detail, cause, opened_at, opened_by)
      VALUES (${AUDIT_CHANGED}, ${detail}, ${`audit:${position}`}, ${nowMicros}, 'audit-anchor') ON CONFLICT DO NOTHING`.execute(
      db,
    );
    if (numAffectedRows > 0n) logger.error('The past of the audit was changed: all payouts are frozen.', { detail });
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    logger.error('The past of the audit was changed, and we may not freeze payouts.', {
      detail,
      why: messageOf(error),
    });
  }
}
