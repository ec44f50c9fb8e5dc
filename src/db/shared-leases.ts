/**
 * Leases shared fairly by the processes that work on the same things, so that no process has all while another has none.
 *
 * Each process that takes part says so in a row of its own, a lease that nobody else wants. With n things and p such rows, a process takes no more than ⌈n / p⌉, and
 * gives back what it has beyond that, one at each renewal, when a process joins. It is efficiency only: who may write is decided by tokens.
 *
 * Fairness must not leave work undone. So what nobody took for as long as a lease lasts may be taken beyond one's share; and a process whose work fails again and again right
 * after it began (its way to the participant is cut, say) does not count for a while, and the others take its share.
 */
import { sql } from 'kysely';
import { type Clock, type Micros, millisToMicros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Database } from './connection.ts';
import { type Lease, type Leases, leaseTime } from './lease.ts';
import { asHeld, isGone } from './presence.ts';

export type SharedLeases = Leases & {
  /** Leaves what it had to the others at once. Leases are released by whoever holds them. */
  leave(): Promise<void>;
};

const FAILURES_MAX = 2;
const PENALTY_MS_MIN = 60_000;
const PENALTY_MS_MAX = 15 * 60_000;

/**
 * @param options.group what is shared, e.g. `ingestion`. Its rows begin with `member:`.
 * @param options.holder as for the leases themselves.
 * @param options.count of all things there are to share.
 * @param options.time for a simulation; as for {@link leaseTime}.
 */
export function createSharedLeases(options: {
  readonly db: Database;
  readonly leases: Leases;
  readonly group: string;
  readonly holder: string;
  readonly count: number;
  readonly clock: Clock;
  readonly time?: Clock;
  readonly logger: Logger;
}): SharedLeases {
  const { db, leases, holder, count, clock, logger } = options;
  const prefix = `member:${options.group}:`;
  const now = leaseTime(options.time);
  /** Token of the lease → what became of it since. */
  const held = new Map<string, { readonly token: bigint; isRenewed: boolean; isYielding: boolean }>();
  let taking = 0;
  let share = count;
  let attendedAt: Micros | null = null;
  let attending: Promise<void> | null = null;
  let failures = 0;
  let penalties = 0;
  let suspendedUntil: Micros = 0n;

  /** Renews our row and learns how many there are. A database that is away is told by the leases themselves. */
  async function attend(ttlMs: number): Promise<void> {
    const age = attendedAt === null ? null : clock.nowMicros() - attendedAt;
    if (age !== null && age >= 0n && age < millisToMicros(ttlMs / 3)) return;
    attending ??= countMembers(ttlMs)
      .then((members) => {
        share = Math.ceil(count / members);
        attendedAt = clock.nowMicros();
      })
      .catch((error: unknown) => {
        logger.warn('Cannot tell how many processes share the work.', { why: messageOf(error) });
      })
      .finally(() => {
        attending = null;
      });
    await attending;
  }

  async function countMembers(ttlMs: number): Promise<number> {
    const own = `${prefix}${holder}`;
    const { rows } = await sql<{ others: bigint }>`
      WITH gone AS (
        DELETE FROM lease WHERE starts_with(name, ${prefix}) AND expires_at < ${now()} - ${millisToMicros(ttlMs * 10)}::bigint
      ), own AS (
        INSERT INTO lease (name, holder, token, expires_at) VALUES (${own}, ${asHeld(sql`${holder}::text`)}, 1, ${now()} + ${millisToMicros(ttlMs)}::bigint)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
      )
      SELECT count(*) AS others FROM lease WHERE starts_with(name, ${prefix}) AND name <> ${own} AND expires_at > ${now()} AND NOT ${isGone(sql`holder`)}`.execute(
      db,
    );
    return Number(rows[0]?.others ?? 0n) + 1;
  }

  async function leave(): Promise<void> {
    attendedAt = null;
    await db.deleteFrom('lease').where('name', '=', `${prefix}${holder}`).execute();
  }

  const isSuspended = (): boolean => clock.nowMicros() < suspendedUntil;

  async function noteFailure(): Promise<void> {
    failures += 1;
    if (failures < FAILURES_MAX || isSuspended()) return;
    const penaltyMs = Math.min(PENALTY_MS_MAX, PENALTY_MS_MIN * 2 ** Math.min(penalties, 10));
    penalties += 1;
    failures = 0;
    suspendedUntil = clock.nowMicros() + millisToMicros(penaltyMs);
    logger.warn('This process leaves its share to others for a while: what it takes up fails.', { penaltyMs });
    await leave();
  }

  async function take(request: Parameters<Leases['acquire']>[0]): Promise<Lease | null> {
    if (!isSuspended()) await attend(request.ttlMs);
    const freeForMs = request.ttlMs;
    const isWithinShare = held.size + taking < share;
    taking += 1;
    try {
      // Beyond our share also what we had ourselves is taken only when nobody else wants it: we have just left it to others.
      const patience = isSuspended() ? { freeForMs } : isWithinShare ? {} : { freeForMs, ownFreeForMs: freeForMs };
      const lease = await leases.acquire({ ...request, ...patience });
      if (lease !== null) held.set(lease.name, { token: lease.token, isRenewed: false, isYielding: false });
      return lease;
    } finally {
      taking -= 1;
    }
  }

  return {
    acquire: take,
    renew: async (lease, ttlMs) => {
      const isOurs = await leases.renew(lease, ttlMs);
      const ours = held.get(lease.name);
      if (!isOurs || ours === undefined) return isOurs;
      ours.isRenewed = true;
      failures = 0;
      penalties = 0;
      if (isSuspended()) suspendedUntil = 0n;
      await attend(ttlMs);
      const keeping = [...held.values()].filter(({ isYielding }) => !isYielding).length;
      if (keeping <= share) return true;
      ours.isYielding = true;
      logger.info('Leaves its place to another process.', { lease: lease.name, share, count });
      return false;
    },
    release: async (lease) => {
      const ours = held.get(lease.name);
      if (ours?.token === lease.token) held.delete(lease.name);
      await leases.release(lease);
      if (ours !== undefined && !ours.isRenewed) await noteFailure();
    },
    leave,
  };
}
