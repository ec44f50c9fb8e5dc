/**
 * Keys in the database, as one process knows them: all of them in memory, so that a request costs no statement and a database that is away stops nobody. What changed is asked for twice a second, and at once when the
 * database says so; a key that was revoked is dead here within a second, and stays dead even if the database goes back to before that.
 */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Notifications } from '../db/notifications.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { EVERYTHING } from '../read/reach.ts';
import { isScope, type Principal, principalOf, type Scope } from '../schema/principal.ts';
import type { Authenticator, Proof } from './credential.ts';

/** Recognised by people, and by scanners for leaked secrets. */
export const KEY_PREFIX = 'sluice_';

export type ApiKeys = Authenticator & {
  /** Reads what there is. @throws RetryableError of the database. */
  refresh(): Promise<void>;
  /** Keeps it up to date until `signal` aborts. */
  run(): Promise<void>;
};

const LOOK_MS = 500; // One statement on one row; a revocation takes effect within a second even where no notification arrives.
/** 15 min: as long as the database is away nobody can be told of a revocation. Longer, and keys of before are not believed. */
const BLIND_MS_MAX = 15 * 60_000;
const USED_MS = 60_000; // `last_used_at` is for people who look for unused keys: a write per key and minute at most.

type KeyRow = {
  readonly id: string;
  readonly client: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly scopes: readonly string[];
  readonly network: string | null;
  readonly owner: string | null;
  readonly expiresAt: Micros | null;
  readonly isRevoked: boolean;
};

type KnownKey = { readonly id: string; readonly principal: Principal };

export function createApiKeys(options: {
  readonly db: Database;
  readonly notifications: Notifications | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): ApiKeys {
  const { db, notifications, clock, logger, signal } = options;
  let known: ReadonlyMap<string, KnownKey> = new Map();
  let version: string | null = null;
  let seenAt: Micros | null = null;
  /** By hash. What was revoked once is never taken again by this process. */
  const revoked = new Set<string>();
  const usedAt = new Map<string, Micros>();
  const wake = { current: new AbortController() };

  async function refresh(): Promise<void> {
    const askedAt = clock.nowMicros();
    // Before the keys: a change between the two is read now, and once more at the next look.
    const found = await readVersion(db);
    if (found !== version || version === null) {
      const rows = await readKeys(db);
      const next = new Map<string, KnownKey>();
      for (const row of rows) {
        if (row.isRevoked) revoked.add(row.sha256);
        else next.set(row.sha256, { id: row.id, principal: principalOfKey(row) });
      }
      known = next;
      version = found;
    }
    seenAt = askedAt;
  }

  function find(sha256: string): KnownKey | null {
    if (seenAt === null || clock.nowMicros() - seenAt > BigInt(BLIND_MS_MAX) * 1_000n) return null;
    return revoked.has(sha256) ? null : (known.get(sha256) ?? null);
  }

  async function prove(credential: string): Promise<Proof | null> {
    // A look-up by hash: how long it takes tells nothing of any key, since nobody can choose what his guess hashes to.
    const sha256 = hashOfKey(credential).toString('hex');
    const key = find(sha256);
    if (key === null) return null;
    const { expiresAt } = key.principal;
    const now = clock.nowMicros();
    if (expiresAt !== null && expiresAt <= now) return null;
    usedAt.set(key.id, now);
    return { principal: key.principal, isStanding: () => find(sha256) !== null };
  }

  async function run(): Promise<void> {
    const stopListening = notifications?.listen('sluice_api_key', () => wake.current.abort());
    let notedAt = clock.nowMicros();
    try {
      while (!signal.aborted) {
        wake.current = new AbortController();
        try {
          await refresh();
          if (usedAt.size > 0 && clock.nowMicros() - notedAt > BigInt(USED_MS) * 1_000n) {
            notedAt = clock.nowMicros();
            const used = [...usedAt];
            usedAt.clear();
            await noteUsed(db, used);
          }
        } catch (error) {
          if (!(error instanceof RetryableError)) throw error;
          logger.debug('The keys of the API could not be read.', { why: messageOf(error) });
        }
        await clock.sleep(LOOK_MS, AbortSignal.any([signal, wake.current.signal]));
      }
    } finally {
      stopListening?.();
    }
  }

  return { takes: (credential) => credential.startsWith(KEY_PREFIX), prove, refresh, run };
}

/** Of 256 random bits: nothing slower is needed to keep it from being guessed. */
export function hashOfKey(key: string): Buffer {
  return createHash('sha256').update(key, 'utf8').digest();
}

function principalOfKey({ client, scopes, network, owner, expiresAt }: KeyRow): Principal {
  const reach = network === null || owner === null ? EVERYTHING : ({ kind: 'ACCOUNT', network, owner } as const);
  // A scope that this version does not know is not one that it gives.
  const given: readonly Scope[] = scopes.filter(isScope);
  return principalOf(client, given, { reach, expiresAt });
}

async function readVersion(db: Database): Promise<string> {
  const row = await db.selectFrom('api_key_version').select('version').executeTakeFirstOrThrow();
  return row.version;
}

async function readKeys(db: Database): Promise<readonly KeyRow[]> {
  const { rows } = await sql<KeyRow>`
    SELECT id, client, encode(sha256, 'hex') AS sha256, scopes, network, account_owner AS owner, expires_at AS "expiresAt",
      revoked_at IS NOT NULL AS "isRevoked"
    FROM api_key`.execute(db);
  return rows;
}

async function noteUsed(db: Database, used: readonly (readonly [string, Micros])[]): Promise<void> {
  await sql`
    UPDATE api_key SET last_used_at = greatest(api_key.last_used_at, used.at)
    FROM unnest(${used.map(([id]) => id)}::text[], ${used.map(([, at]) => String(at))}::bigint[]) AS used (id, at)
    WHERE api_key.id = used.id`.execute(db);
}
