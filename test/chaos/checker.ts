/**
 * The one checker: compares, when everything has come to rest, what the database says with what the network itself says. Double payouts, false failures and false successes, lost and double credits, gaps in the event log, books that
 * are not those of their causes, holdings that are not those of the ledger.
 */
import { sql } from 'kysely';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { isFinal, type WithdrawalState } from '../../src/withdrawals/withdrawal-state.ts';
import { CUSTOMERS, type Payee, type Truth } from './network-messages.ts';
import type { World } from './world.ts';

/** What is not as it must be, in words; empty: all is well. */
export type Violations = readonly string[];

const REST_MS = 180_000; // Far beyond the time to certainty of an attempt, and some starts of a process, on a busy machine: what takes longer hangs.
const LOOK_MS = 40;

type AtRest = {
  readonly updates: number;
  readonly newestUpdateId: string | null;
  readonly outbox: number;
  readonly open: number;
  readonly offers: number;
  readonly events: number;
};

/** Waits until nothing is under way any more, or a process has ended for good, which {@link check} tells. @returns why it did not come to rest, or null. */
export async function comeToRest(world: World, restMs = REST_MS): Promise<string | null> {
  const deadline = systemClock.nowMicros() + BigInt(restMs) * 1_000n;
  let last: unknown = null;
  for (;;) {
    // Whoever cannot be started again does not come to rest: why is among the faults.
    if (world.sluices.some(({ faults }) => faults.length > 0)) return null;
    try {
      const { isThere, state } = await look(world);
      if (isThere) return null;
      last = state;
    } catch (error) {
      last = String(error); // The database may still be away.
    }
    if (systemClock.nowMicros() > deadline) return `It did not come to rest: ${JSON.stringify(last)}`;
    await systemClock.sleep(LOOK_MS);
  }
}

async function look({ network, server, orders, subscribers }: World): Promise<{ isThere: boolean; state: unknown }> {
  const { rows } = await sql<AtRest>`
    SELECT (SELECT count(*)::int FROM ledger_update) AS updates,
      (SELECT update_id FROM ledger_update ORDER BY epoch DESC, ledger_offset DESC LIMIT 1) AS "newestUpdateId",
      (SELECT count(*)::int FROM event_outbox) AS outbox,
      (SELECT count(*)::int FROM withdrawal WHERE state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED', 'OFFERED'))
        + (SELECT count(*)::int FROM withdrawal WHERE state = 'OFFERED' AND (is_cancel_requested OR receiver <> ${network.payees.erin}))
        + (SELECT count(*)::int FROM attempt WHERE state = 'OPEN')
        + (SELECT count(*)::int FROM self_transfer WHERE state = 'IN_FLIGHT')
        + (SELECT count(*)::int FROM screening WHERE state = 'WAITING') AS open,
      (SELECT count(*)::int FROM transfer WHERE direction = 'IN' AND status = 'PENDING') AS offers,
      (SELECT last_position::int FROM event_log) AS events`.execute(server.db);
  const [now] = rows;
  if (now === undefined) return { isThere: false, state: 'no row' };
  const newest = await network.newest();
  const last = subscribers.map((subscriber) => Number(subscriber.last()));
  const isThere =
    now.updates === newest.updates &&
    now.newestUpdateId === newest.newestUpdateId &&
    now.outbox === 0 &&
    now.open === 0 &&
    now.offers === 0 &&
    last.every((position) => position === now.events);
  return { isThere, state: { ...now, newest, last, orders: orders.length } };
}

/** @param isFull also derives everything again, which takes longer. */
export async function check(world: World, { isFull }: { readonly isFull: boolean }): Promise<Violations> {
  const truth = await world.network.truth();
  return [
    ...(await checkPayments(world, truth)),
    ...(await checkCredits(world, truth)),
    ...(await checkHoldings(world, truth)),
    ...(await checkLog(world)),
    ...(await checkStates(world)),
    ...(isFull ? await checkDerived(world) : []),
    ...world.sluices.flatMap((sluice) => sluice.faults),
  ];
}

async function checkPayments({ server, orders }: World, { paid }: Truth): Promise<Violations> {
  const faults: string[] = [];
  const { rows } = await sql<{ key: string; state: WithdrawalState; amount: string }>`
    SELECT idempotency_key AS key, state, amount::text AS amount FROM withdrawal`.execute(server.db);
  const found = new Map(rows.map((row) => [row.key, row]));
  if (rows.length !== orders.length || found.size !== orders.length)
    faults.push(`${orders.length} orders are ${rows.length} withdrawals`);
  const ordered = new Map(orders.map((order) => [order.amount, order]));
  const times = new Map<string, number>();
  for (const [payee, amounts] of Object.entries(paid) as [Payee, readonly string[]][]) {
    for (const each of amounts) {
      const amount = formatAmount(parseAmount(each));
      times.set(amount, (times.get(amount) ?? 0) + 1);
      if (ordered.get(amount)?.payee !== payee) faults.push(`${payee} was paid ${amount}, which nobody asked for`);
    }
  }
  for (const { key, amount } of orders) {
    const withdrawal = found.get(key);
    const count = times.get(amount) ?? 0;
    if (count > 1) faults.push(`double payout: ${key} was paid ${count} times`);
    if (withdrawal === undefined) faults.push(`${key} is lost`);
    else if (parseAmount(withdrawal.amount) !== parseAmount(amount)) faults.push(`${key} is of ${withdrawal.amount}`);
    else if (withdrawal.state === 'COMPLETED' && count !== 1) faults.push(`false success: ${key} was not paid`);
    else if (withdrawal.state !== 'COMPLETED' && isFinal(withdrawal.state) && count !== 0)
      faults.push(`false failure: ${key} is ${withdrawal.state} and was paid`);
  }
  return faults;
}

/** Account, or the empty text for deposits that name nobody: count and sum. */
type Sums = Readonly<Record<string, string>>;

async function checkCredits({ server }: World, { deposited, offersOpen }: Truth): Promise<Violations> {
  const sums = new Map<string, { count: number; units: bigint }>();
  for (const { memo, amount } of deposited) {
    const owner = CUSTOMERS[memo] ?? '';
    const { count, units } = sums.get(owner) ?? { count: 0, units: 0n };
    sums.set(owner, { count: count + 1, units: units + parseAmount(amount) });
  }
  const expected: Sums = Object.fromEntries(
    [...sums].map(([owner, { count, units }]) => [owner, `${count} of ${formatAmount(units)}`]),
  );
  const { rows } = await sql<{ owner: string; count: number; total: string }>`
    SELECT coalesce(a.owner, '') AS owner, count(*)::int AS count, sum(t.holdings_delta::numeric)::text AS total
    FROM transfer t LEFT JOIN attribution b ON b.transfer_id = t.id LEFT JOIN account a ON a.id = b.account_id AND a.kind = 'CUSTOMER'
    WHERE t.direction = 'IN' AND t.kind IN ('DIRECT', 'OFFER') AND t.status = 'COMPLETED' GROUP BY 1`.execute(
    server.db,
  );
  const found: Sums = Object.fromEntries(
    rows.map(({ owner, count, total }) => [owner, `${count} of ${formatAmount(parseAmount(total))}`]),
  );
  const faults = [...new Set([...Object.keys(expected), ...Object.keys(found)])]
    .filter((owner) => expected[owner] !== found[owner])
    .map((owner) => `lost or double credit: "${owner}" has ${found[owner]}, and paid in ${expected[owner]}`);
  return offersOpen === 0 ? faults : [...faults, `${offersOpen} offers lie where they were`];
}

async function checkHoldings({ server }: World, { holdings, balance }: Truth): Promise<Violations> {
  const faults: string[] = [];
  const { rows } = await sql<{ id: string; amount: string }>`
    SELECT contract_id AS id, amount::text AS amount FROM holding WHERE archived_update_id IS NULL`.execute(server.db);
  const found = new Map(rows.map(({ id, amount }) => [id, parseAmount(amount)]));
  const isSame =
    found.size === holdings.length && holdings.every(([id, amount]) => found.get(id) === parseAmount(amount));
  if (!isSame) faults.push(`holdings differ from the ledger: ${found.size} here, ${holdings.length} there`);
  const booked = await sql<{ total: string }>`
    SELECT coalesce(-sum(b.balance), 0)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'TREASURY'`.execute(
    server.db,
  );
  const total = booked.rows[0]?.total ?? '0';
  if (parseAmount(total) !== parseAmount(balance))
    faults.push(`books differ from the ledger: ${total} here, ${balance} there`);
  for (const fault of await checkBooks(server.db)) faults.push(`books: ${JSON.stringify(fault)}`);
  return faults;
}

async function checkLog({ server, subscribers }: World): Promise<Violations> {
  const { rows } = await sql<{ position: bigint; eventId: string }>`
    SELECT position, event_id AS "eventId" FROM event ORDER BY position`.execute(server.db);
  const faults: string[] = [];
  const gap = rows.findIndex(({ position }, index) => position !== BigInt(index + 1));
  if (gap !== -1) faults.push(`gap in the event log at ${gap + 1}`);
  for (const { transport, deliveries, faults: heard } of subscribers) {
    for (const fault of heard) faults.push(`${transport} subscriber: ${fault}`);
    const other = rows.findIndex(({ eventId }, index) => deliveries[index]?.eventId !== eventId);
    if (other !== -1 || deliveries.length !== rows.length)
      faults.push(
        `${transport} subscriber got ${deliveries.length} of ${rows.length} events, and another one at ${other}`,
      );
  }
  const { rows: twice } = await sql<{ id: string; count: number }>`
    SELECT t.id, (SELECT count(*)::int FROM event e WHERE e.subject = t.id AND e.type IN ('deposit.credited', 'deposit.unattributed')) AS count
    FROM transfer t WHERE t.direction = 'IN' AND t.kind IN ('DIRECT', 'OFFER') AND t.status = 'COMPLETED'
      AND (SELECT count(*) FROM event e WHERE e.subject = t.id AND e.type IN ('deposit.credited', 'deposit.unattributed')) <> 1 LIMIT 3`.execute(
    server.db,
  );
  for (const { id, count } of twice) faults.push(`deposit ${id} was announced ${count} times`);
  return faults;
}

/** What a system at rest must not have: anything set aside, frozen, halted, parked or still reserved. */
async function checkStates({ server }: World): Promise<Violations> {
  const { rows } = await sql<{ what: string; count: number }>`
    SELECT what, count FROM (
      SELECT 'updates in quarantine' AS what, count(*)::int AS count FROM quarantine
      UNION ALL SELECT 'freezes of money: ' || coalesce(string_agg(reason || ' ' || detail, '; '), ''), count(*)::int FROM money_freeze WHERE lifted_at IS NULL
      UNION ALL SELECT 'halted streams: ' || coalesce(string_agg(status_reason, '; '), ''), count(*)::int FROM ingestion_stream WHERE status = 'HALTED'
      UNION ALL SELECT 'reservations of nothing', count(*)::int FROM reservation WHERE is_open
      UNION ALL SELECT 'parked offers: ' || coalesce(string_agg(reason, '; '), ''), count(*)::int FROM offer_action WHERE state = 'PARKED'
      UNION ALL SELECT 'parked returns: ' || coalesce(string_agg(trouble_code, '; '), ''), count(*)::int FROM offer_return WHERE state = 'PARKED'
      UNION ALL SELECT 'parked screenings', count(*)::int FROM screening WHERE state = 'PARKED'
      UNION ALL SELECT 'failed withdrawals: ' || coalesce(string_agg(failure_code, '; '), ''), count(*)::int FROM withdrawal WHERE state IN ('FAILED', 'REJECTED', 'UNRESOLVED')
    ) AS counted WHERE count > 0`.execute(server.db);
  return rows.map(({ what, count }) => `${count} ${what}`);
}

async function checkDerived({ server }: World): Promise<Violations> {
  const treasury = await server.db
    .selectFrom('treasury_party')
    .innerJoin('network', 'network.id', 'treasury_party.network_id')
    .select([
      'treasury_party.id',
      'treasury_party.party',
      'treasury_party.name',
      'treasury_party.network_id as networkId',
      'network.name as network',
    ])
    .executeTakeFirstOrThrow();
  const { differences } = await compareWithRebuild(server.db, treasury);
  return differences.map((difference) => `derived tables differ from a rebuild: ${JSON.stringify(difference)}`);
}
