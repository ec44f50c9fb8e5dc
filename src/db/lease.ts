/**
 * Fenced leases: who works on what. A lease only saves work, it proves nothing: its holder may be paused for longer than it lasts. What makes
 * a stale holder harmless is the token, which grows with every change of hands and which each write that matters compares (design:
 * src/ingestion/position.ts).
 *
 * The time is the database's, which all holders share: a holder whose clock is fast would otherwise keep everybody out long after its end.
 * One statement each, so that none of them can be half-done.
 */
import { type RawBuilder, sql } from 'kysely';
import { type Clock, type Micros, millisToMicros } from '../env/clock.ts';
import type { Database } from './connection.ts';
import { asHeld, isGone, namesOf } from './presence.ts';

export type Lease = {
  readonly name: string;
  /** Greater than that of every earlier holder of this name. */
  readonly token: bigint;
};

export type LeaseRequest = {
  readonly name: string;
  readonly holder: string;
  readonly ttlMs: number;
  readonly freeForMs?: number;
  readonly ownFreeForMs?: number;
};

export type Leases = {
  /**
   * Takes the lease when it is free, expired, that of a process that is gone (presence.ts), or `holder`'s own (whose answer may have been lost); each taking has a new token.
   *
   * @param holder unique per process and start, or a restarted process takes over from its own zombie unnoticed.
   * @param ttlMs 1 or more; a holder renews at a third of it.
   * @param freeForMs default 0: another's lease is taken only when it ended that long ago. `ownFreeForMs` is the same for a lease that `holder` had last;
   * left out, it is taken also where it has not ended.
   * @returns null while somebody else holds it.
   * @throws as errors.ts says; safe to repeat.
   */
  acquire(request: LeaseRequest): Promise<Lease | null>;
  /**
   * Extends the lease, also an expired one that nobody took meanwhile.
   *
   * @returns false when it has changed hands: stop working.
   */
  renew(lease: Lease, ttlMs: number): Promise<boolean>;
  /** Lets others have it at once. Does nothing when it has changed hands. The row stays, so that tokens keep growing. */
  release(lease: Lease): Promise<void>;
};

/** @param options.clock for a simulation, where time is not the database's. */
export function createLeases({ db, clock }: { readonly db: Database; readonly clock?: Clock }): Leases {
  const now = leaseTime(clock);
  const end = (ttlMs: number): RawBuilder<Micros> => sql<Micros>`${now()} + ${millisToMicros(ttlMs)}`;
  return {
    acquire: async ({ name, holder, ttlMs, freeForMs = 0, ownFreeForMs }) => {
      const freeFor = (ms: number): RawBuilder<Micros> => sql<Micros>`${now()} - ${millisToMicros(ms)}::bigint`;
      const own = namesOf(holder);
      // Two callers at once: the row lock of ON CONFLICT lets the second one see what the first one wrote.
      const taken = await db
        .insertInto('lease')
        .values({ name, holder: asHeld(sql`${holder}::text`), token: 1n, expires_at: end(ttlMs) })
        .onConflict((conflict) =>
          conflict
            .column('name')
            .doUpdateSet((row) => ({
              holder: row.ref('excluded.holder'),
              token: sql<bigint>`lease.token + 1`,
              expires_at: row.ref('excluded.expires_at'),
            }))
            .where((row) =>
              row.or([
                row.and([
                  row('lease.holder', 'not in', own),
                  row.or([
                    row('lease.expires_at', '<=', freeFor(freeForMs)),
                    ...(freeForMs === 0 ? [isGone(sql`lease.holder`)] : []),
                  ]),
                ]),
                row.and([
                  row('lease.holder', 'in', own),
                  ...(ownFreeForMs === undefined ? [] : [row('lease.expires_at', '<=', freeFor(ownFreeForMs))]),
                ]),
              ]),
            ),
        )
        .returning('token')
        .executeTakeFirst();
      return taken === undefined ? null : { name, token: taken.token };
    },
    renew: async ({ name, token }, ttlMs) => {
      const renewed = await db
        .updateTable('lease')
        .set({ holder: asHeld(sql`holder`), expires_at: end(ttlMs) })
        .where('name', '=', name)
        .where('token', '=', token)
        .executeTakeFirst();
      return renewed.numUpdatedRows === 1n;
    },
    release: async ({ name, token }) => {
      await db
        .updateTable('lease')
        .set((row) => ({ expires_at: row.fn('least', [row.ref('expires_at'), now()]) }))
        .where('name', '=', name)
        .where('token', '=', token)
        .execute();
    },
  };
}

/** The present time for a statement about leases. */
export function leaseTime(clock: Clock | undefined): () => RawBuilder<Micros> {
  if (clock === undefined) return () => sql<Micros>`(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`;
  return () => sql<Micros>`${clock.nowMicros()}::bigint`;
}
