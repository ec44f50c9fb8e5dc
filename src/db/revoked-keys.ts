/** Keys of the API that were revoked, kept outside the database with what must not move: a backup from before would have them valid again. One that the backup does not know is nobody's there anyway. */
import { sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from './connection.ts';

export const revokedKeySchema = z.strictObject({
  /** SHA-256 in lower-case hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Microseconds of the wall clock, as a decimal string. */
  at: z.string().regex(/^\d{1,19}$/),
  by: z.string(),
  why: z.string(),
});

export type RevokedKey = z.infer<typeof revokedKeySchema>;

const KEYS_MAX = 1_000; // Newest first: read twice a second, and a backup older than a thousand revocations is not put back without a look at its keys.

export async function readRevokedKeys(db: Database): Promise<RevokedKey[]> {
  const { rows } = await sql<RevokedKey>`
    SELECT encode(sha256, 'hex') AS sha256, revoked_at::text AS at, revoked_by AS by, revoked_why AS why
    FROM api_key WHERE revoked_at IS NOT NULL ORDER BY revoked_at DESC, id LIMIT ${KEYS_MAX}`.execute(db);
  return rows;
}

/** @returns the ids of those that had become valid again. Harmless when repeated. */
export async function restoreRevokedKeys(tx: Transaction, keys: readonly RevokedKey[]): Promise<string[]> {
  const { rows } = await sql<{ readonly id: string }>`
    UPDATE api_key SET revoked_at = kept.at, revoked_by = kept.by, revoked_why = kept.why
    FROM jsonb_to_recordset(${JSON.stringify(keys)}::jsonb) AS kept (sha256 text, at bigint, by text, why text)
    WHERE api_key.sha256 = decode(kept.sha256, 'hex') AND api_key.revoked_at IS NULL
    RETURNING api_key.id`.execute(tx);
  return rows.map(({ id }) => id);
}
