/**
 * Moments of rest: nothing is under way, everybody serves and has been told everything. Only then is there one answer to what must be so.
 *
 * Rest is not for ever: a treasury tidies its holdings when nobody waits, and tries again what came to nothing. What was checked while such work began says nothing of a system at rest, and is checked again.
 */
import { sql } from 'kysely';
import { millisToMicros } from '../../src/env/clock.ts';
import { systemClock } from '../../src/env/system.ts';
import { check, heldHoldings, type Violations } from './checker.ts';
import type { World } from './world.ts';

const HANG_MS = 180_000; // Far beyond the time to certainty of an attempt, and some starts of a process, on a busy machine: what does nothing for so long hangs.
const REST_MS = 330_000; // What goes on for ever does not come to rest either.
const LOOK_MS = 40;
/** More than a treasury ever needs to have tidied all that there is. */
const CHECKS_MAX = 20;

/** What the database says. */
type Counted = {
  readonly updates: number;
  readonly newestUpdateId: string | null;
  readonly outbox: number;
  readonly open: number;
  readonly offers: number;
  readonly events: number;
  /** Ever begun. */
  readonly attempts: number;
};

export type Verdict = {
  /** Of a system that stood still meanwhile. */
  readonly violations: Violations;
  /** Seen while work began, and not when that was done. */
  readonly passing: Violations;
};

/** What {@link verdictOf} looks at. */
export type Watched = {
  /** Waits for rest. @returns what it looks like then, or why there is none. */
  readonly rest: () => Promise<{ readonly state: string } | { readonly unrest: string }>;
  /** What it looks like now; the same text where nothing was begun or ended in between. */
  readonly state: () => Promise<string>;
  readonly check: () => Promise<Violations>;
};

/**
 * Checks at rest, and again whenever it was none. What does not go away by itself is found however often work begins: a moment at which all is well is needed to pass.
 * @returns as a violation of its own, beside what was seen last, that it never stood still for long enough.
 */
export async function verdictOf({ rest, state, check: look }: Watched): Promise<Verdict> {
  const seen = new Set<string>();
  const verdict = (violations: Violations): Verdict => ({
    violations,
    passing: [...seen].filter((each) => !violations.includes(each)),
  });
  for (let checks = 1; ; checks += 1) {
    const before = await rest();
    if ('unrest' in before) return verdict([before.unrest]);
    const violations = await look();
    if (violations.length === 0 || (await state()) === before.state) return verdict(violations);
    if (checks === CHECKS_MAX) return verdict([`Work began during each of ${checks} checks at rest`, ...violations]);
    for (const each of violations) seen.add(each);
  }
}

/** Waits until all is at rest, and looks whether everything is as it must be. @param isFull also derives everything again, which takes longer. */
export async function checkAtRest(world: World, { isFull }: { readonly isFull: boolean }): Promise<Verdict> {
  return await verdictOf({
    rest: async () => await comeToRest(world),
    state: async () => JSON.stringify((await look(world)).state),
    check: async () => await check(world, { isFull }),
  });
}

async function comeToRest(world: World): Promise<{ readonly state: string } | { readonly unrest: string }> {
  const startedAt = systemClock.nowMicros();
  let changedAt = startedAt;
  let last = '';
  for (;;) {
    let now: string;
    try {
      const { isThere, state } = await look(world);
      now = JSON.stringify(state);
      if (isThere) return { state: now };
    } catch (error) {
      now = String(error); // The database may still be away.
    }
    const time = systemClock.nowMicros();
    if (now !== last) changedAt = time;
    last = now;
    const hangs = time > changedAt + millisToMicros(HANG_MS);
    if (hangs || time > startedAt + millisToMicros(REST_MS))
      return {
        unrest: `It did not come to rest, and ${hangs ? 'hangs' : 'goes on'}: ${last}; ${await underWay(world)}`,
      };
    await systemClock.sleep(LOOK_MS);
  }
}

/** In words, for people: what is waited for, and for how long. */
async function underWay({ server, sluices }: World): Promise<string> {
  const starts = sluices.map(
    (sluice) =>
      `${sluice.name} ${sluice.isStopped() ? 'stands still' : sluice.port() === null ? 'starts' : 'serves'}, ${sluice.starts()} starts`,
  );
  try {
    const { rows } = await sql<{ what: string }>`
      SELECT count(*) || ' withdrawals ' || state AS what FROM withdrawal
      WHERE state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED') GROUP BY state
      UNION ALL SELECT count(*) || ' screenings ' || state FROM screening WHERE state IN ('WAITING', 'PARKED') GROUP BY state
      UNION ALL SELECT count(*) || ' screenings of withdrawals ' || state FROM withdrawal_screening WHERE state IN ('WAITING', 'PARKED') GROUP BY state
      UNION ALL SELECT count(*) || ' attempts ' || state FROM attempt GROUP BY state
      UNION ALL SELECT count(*) || ' offers to us ' || state FROM offer_action WHERE state NOT IN ('DONE', 'ENDED') GROUP BY state
      UNION ALL SELECT 'frozen: ' || reason || ', ' || detail FROM money_freeze WHERE lifted_at IS NULL
      UNION ALL SELECT 'lease ' || name || ' until ' || expires_at FROM lease`.execute(server.db);
    return [...starts, ...rows.map(({ what }) => what), ...(await heldHoldings(server.db))].join('; ');
  } catch (error) {
    return [...starts, String(error)].join('; ');
  }
}

async function look(world: World): Promise<{ readonly isThere: boolean; readonly state: unknown }> {
  const { network, server, orders, subscribers, sluices } = world;
  // Whoever cannot be started again does not come to rest: why is among the faults that the check tells.
  const over = sluices.filter(({ faults }) => faults.length > 0).map(({ name }) => name);
  if (over.length > 0) return { isThere: true, state: { over } };
  // All that were told to stand still have been woken: who did so once more, before he heard that the order was taken back, is woken by nobody else.
  for (const sluice of sluices) if (sluice.isStopped()) sluice.signal('SIGCONT');
  const { rows } = await sql<Counted>`
    SELECT (SELECT count(*)::int FROM ledger_update) AS updates,
      (SELECT update_id FROM ledger_update ORDER BY epoch DESC, ledger_offset DESC LIMIT 1) AS "newestUpdateId",
      (SELECT count(*)::int FROM event_outbox) AS outbox,
      (SELECT count(*)::int FROM withdrawal WHERE state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED', 'OFFERED'))
        + (SELECT count(*)::int FROM withdrawal WHERE state = 'OFFERED' AND (is_cancel_requested OR receiver <> ${network.payees.erin}))
        + (SELECT count(*)::int FROM attempt WHERE state = 'OPEN')
        + (SELECT count(*)::int FROM self_transfer WHERE state = 'IN_FLIGHT')
        + (SELECT count(*)::int FROM screening WHERE state = 'WAITING') AS open,
      (SELECT count(*)::int FROM transfer WHERE direction = 'IN' AND status = 'PENDING') AS offers,
      (SELECT count(*)::int FROM attempt) AS attempts,
      (SELECT last_position::int FROM event_log) AS events`.execute(server.db);
  const [now] = rows;
  if (now === undefined) return { isThere: false, state: 'no row' };
  const newest = await network.newest();
  const last = subscribers.map((subscriber) => Number(subscriber.last()));
  // Without this one that ends again and again would go unnoticed beside the others.
  const serving = sluices.filter((sluice) => sluice.port() !== null && !sluice.isStopped()).length;
  const isThere =
    now.updates === newest.updates &&
    now.newestUpdateId === newest.newestUpdateId &&
    now.outbox === 0 &&
    now.open === 0 &&
    now.offers === 0 &&
    serving === sluices.length &&
    last.every((position) => position === now.events);
  return { isThere, state: { ...now, newest, last, serving, orders: orders.length } };
}
