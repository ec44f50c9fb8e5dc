/** Who did what and when, in the order of the chain, and whether the chain is whole. */
import { createHash } from 'node:crypto';
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { JsonValue } from '../gen/db.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';

export type AuditEntry = {
  /** From 1, without gaps. */
  readonly position: bigint;
  readonly at: Micros;
  readonly principal: string;
  readonly action: string;
  /** SHA-256 of the mutation's arguments; null: no mutation. */
  readonly inputHash: Buffer | null;
  readonly subjectType: string;
  readonly subject: string;
  readonly before: JsonValue;
  readonly after: JsonValue;
  readonly hash: Buffer;
  /** What was hashed after the hash before. */
  readonly hashedText: string;
};

/** All that are given hold together; null: any. */
export type AuditFilter = {
  readonly principal: string | null;
  readonly action: string | null;
  readonly subject: string | null;
  readonly from: Micros | null;
  readonly before: Micros | null;
};

export const keyOfAuditEntry = ({ position }: AuditEntry): PageKey => [position];

/** Oldest first: by place in the chain, so that whoever follows with the last cursor misses none. */
export async function listAuditEntries(
  db: Database,
  filter: AuditFilter,
  page: PageRequest,
): Promise<Page<AuditEntry>> {
  const keyset = keysetOf([sql`position`], 'ascending', page);
  const { rows } = await sql<AuditEntry>`
    SELECT ${COLUMNS} FROM audit_entry
    WHERE ${keyset.where} AND ${conditionOf(filter)}
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(rows, page);
}

export type AuditChainState = {
  /** Entries chained; the place of the newest. */
  readonly entriesCount: bigint;
  /** Hash of the newest; of zeros where there is none. Kept elsewhere, it proves later that nothing before it was changed. */
  readonly head: Buffer;
  /** Written and not chained yet. */
  readonly waitingCount: bigint;
};

export async function readAuditChain(db: Database): Promise<AuditChainState> {
  const { rows } = await sql<AuditChainState>`
    SELECT position AS "entriesCount", hash AS head, (SELECT count(*) FROM audit_outbox) AS "waitingCount" FROM audit_chain
  `.execute(db);
  const [state] = rows;
  return state ?? { entriesCount: 0n, head: GENESIS, waitingCount: 0n };
}

export type AuditVerdict = {
  readonly checkedCount: bigint;
  /** Where the chain is broken first; null: it is whole. */
  readonly brokenAt: bigint | null;
};

/** Entries read at once: the texts of a thousand are a few megabytes at most. */
const VERIFY_ROWS = 1_000;
const GENESIS = Buffer.alloc(32);

/**
 * Computes the hashes anew, from the beginning to the head, here and not in the database: a changed, removed or added entry shows at its
 * place, and a chain cut at its end at the head. One read transaction, so that entries chained meanwhile do not count as added.
 */
export async function verifyAuditChain(db: Database): Promise<AuditVerdict> {
  return await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (tx) => {
      let hash = GENESIS;
      let place = 0n;
      for (;;) {
        const { rows } = await sql<{ position: bigint; hash: Buffer; hashedText: string }>`
          SELECT position, hash, ${HASHED_TEXT} FROM audit_entry WHERE position > ${place}::bigint ORDER BY position LIMIT ${VERIFY_ROWS}::int
        `.execute(tx);
        for (const row of rows) {
          hash = createHash('sha256').update(hash).update(row.hashedText, 'utf8').digest();
          if (row.position !== place + 1n || !hash.equals(row.hash)) {
            return { checkedCount: place, brokenAt: place + 1n };
          }
          place = row.position;
        }
        if (rows.length < VERIFY_ROWS) break;
      }
      const { rows } = await sql<{ position: bigint; hash: Buffer }>`SELECT position, hash FROM audit_chain`.execute(
        tx,
      );
      const head = rows[0];
      const isWhole = head !== undefined && head.position === place && head.hash.equals(hash);
      return { checkedCount: place, brokenAt: isWhole ? null : place + 1n };
    });
}

function conditionOf({ principal, action, subject, from, before }: AuditFilter): RawBuilder<boolean> {
  const conditions = [sql<boolean>`true`];
  // An index has the beginning alone: a name may be longer than an index takes.
  const equals = (column: string, wanted: string): RawBuilder<boolean> =>
    sql<boolean>`(left(${sql.ref(column)}, 255) = left(${wanted}, 255) AND ${sql.ref(column)} = ${wanted})`;
  if (principal !== null) conditions.push(equals('principal', principal));
  if (action !== null) conditions.push(equals('action', action));
  if (subject !== null) conditions.push(equals('subject', subject));
  if (from !== null) conditions.push(sql`at >= ${from}::bigint`);
  if (before !== null) conditions.push(sql`at < ${before}::bigint`);
  return sql<boolean>`(${sql.join(conditions, sql` AND `)})`;
}

const HASHED_TEXT = sql`
  audit_text(position, at, principal, action, input_hash, subject_type, subject, before, after) AS "hashedText"
`;

const COLUMNS = sql`
  position, at, principal, action, input_hash AS "inputHash", subject_type AS "subjectType", subject, before, after, hash, ${HASHED_TEXT}
`;
