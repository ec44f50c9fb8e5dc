/** Making, listing and revoking keys in the database. The key is told once, to who made it; here stands its hash. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { personOf } from '../env/person.ts';
import type { Random } from '../env/random.ts';
import type { Reach } from '../read/reach.ts';
import { conflictOf, type Scope } from '../schema/principal.ts';
import { hashOfKey, KEY_PREFIX } from './api-keys.ts';
import { demandKeyName } from './key-name.ts';

const KEY_BYTES = 32; // 256 bits: beyond guessing.
const ID_BYTES = 9; // Names the key in lists and logs; says nothing of it.

export type ApiKeyEntry = {
  readonly id: string;
  readonly client: string;
  readonly scopes: readonly string[];
  /** `network/owner` of a customer's; null: it sees everything its scopes allow. */
  readonly account: string | null;
  readonly createdAt: Micros;
  readonly createdBy: string;
  readonly expiresAt: Micros | null;
  readonly revokedAt: Micros | null;
  readonly revokedBy: string | null;
  readonly lastUsedAt: Micros | null;
};

export type NewApiKey = {
  readonly client: string;
  readonly scopes: readonly Scope[];
  readonly reach: Reach;
  readonly expiresAt: Micros | null;
  readonly by: string;
};

export type ApiKeyBook = {
  /** @returns the key, told this once. @throws PermanentError API_KEY_INVALID. */
  create(wanted: NewApiKey): Promise<{ readonly id: string; readonly key: string }>;
  /** Newest first; those of one client when one is named. */
  list(client: string | null): Promise<readonly ApiKeyEntry[]>;
  /** Harmless when repeated: the first one stands. @throws PermanentError API_KEY_UNKNOWN. */
  revoke(id: string, decision: { readonly by: string; readonly why: string }): Promise<void>;
};

export function createApiKeyBook(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
}): ApiKeyBook {
  const { db, clock, random } = options;
  const text = (bytes: number): string => Buffer.from(random.bytes(bytes)).toString('base64url');
  return {
    create: async ({ client, scopes, reach, expiresAt, by }) => {
      demandKeyName(client);
      const conflict = conflictOf(scopes);
      if (scopes.length === 0 || conflict !== null) {
        throw new PermanentError('API_KEY_INVALID', `A key ${conflict ?? 'needs a scope or a role'}.`);
      }
      if ((reach.kind === 'ACCOUNT') !== scopes.includes('own')) {
        throw new PermanentError('API_KEY_INVALID', 'A customer’s key names his account, and no other key does.');
      }
      const key = `${KEY_PREFIX}${text(KEY_BYTES)}`;
      const id = `key_${text(ID_BYTES)}`;
      await db.transaction().execute(async (tx) => {
        // One after the other: two keys made at once must not give a person both sides.
        await sql`SELECT version FROM api_key_version FOR UPDATE`.execute(tx);
        await demandOneSide(tx, client, scopes);
        await tx
          .insertInto('api_key')
          .values({
            id,
            client,
            sha256: hashOfKey(key),
            scopes: [...new Set(scopes)],
            network: reach.kind === 'ACCOUNT' ? reach.network : null,
            account_owner: reach.kind === 'ACCOUNT' ? reach.owner : null,
            created_at: clock.nowMicros(),
            created_by: by,
            expires_at: expiresAt,
          })
          .execute();
      });
      return { id, key };
    },
    list: async (client) => {
      const { rows } = await sql<ApiKeyEntry>`
        SELECT id, client, scopes, network || '/' || account_owner AS account, created_at AS "createdAt", created_by AS "createdBy",
          expires_at AS "expiresAt", revoked_at AS "revokedAt", revoked_by AS "revokedBy", last_used_at AS "lastUsedAt"
        FROM api_key WHERE ${client}::text IS NULL OR client = ${client}
        ORDER BY created_at DESC, id`.execute(db);
      return rows;
    },
    revoke: async (id, { by, why }) => {
      const { rows } = await sql<{ readonly isThere: boolean }>`
        WITH revoked AS (
          UPDATE api_key SET revoked_at = ${clock.nowMicros()}::bigint, revoked_by = ${by}, revoked_why = ${why}
          WHERE id = ${id} AND revoked_at IS NULL
        )
        SELECT EXISTS (SELECT FROM api_key WHERE id = ${id}) AS "isThere"`.execute(db);
      if (rows[0]?.isThere !== true) throw new PermanentError('API_KEY_UNKNOWN', `There is no key ${id}.`, { id });
    },
  };
}

/** Who has customers paid by one key does not approve by another: a person is a person, whichever key he holds. */
async function demandOneSide(db: Database, client: string, scopes: readonly Scope[]): Promise<void> {
  const other = scopes.includes('withdrawals') ? 'approve' : scopes.includes('approve') ? 'withdrawals' : null;
  if (other === null) return;
  const { rows } = await sql`
    SELECT FROM api_key WHERE person_of(client) = ${personOf(client)} AND revoked_at IS NULL AND ${other} = ANY (scopes) LIMIT 1`.execute(
    db,
  );
  if (rows.length > 0) {
    throw new PermanentError(
      'API_KEY_INVALID',
      `${client} has a key with the scope ${other}: who has customers paid is not who approves it.`,
      { client },
    );
  }
}
