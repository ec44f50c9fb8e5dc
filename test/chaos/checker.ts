/**
 * The one checker: compares, when everything has come to rest, what the database says with what the network itself says. Double payouts, false failures and false successes, lost and double credits, gaps in the event log, books that
 * are not those of their causes, holdings that are not those of the ledger.
 */
import { type RawBuilder, sql } from 'kysely';
import { checkBooks } from '../../src/books/check-books.ts';
import type { Database } from '../../src/db/connection.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { WITHDRAWAL_CHANGED } from '../../src/withdrawals/withdrawal-events.ts';
import { isFinal, type WithdrawalState } from '../../src/withdrawals/withdrawal-state.ts';
import { CUSTOMERS, type Payee, type Truth } from './network-messages.ts';
import { type Order, WITHDRAWER, type World } from './world.ts';

/** What is not as it must be, in words; empty: all is well. */
export type Violations = readonly string[];

/** Of one kind: the first say enough. */
const SHOWN_MAX = 5;

/** For a system at rest, by `rest.ts`. @param isFull also derives everything again, which takes longer. */
export async function check(world: World, { isFull }: { readonly isFull: boolean }): Promise<Violations> {
  const truth = await world.network.truth();
  return [
    ...(await checkPayments(world, truth)),
    ...(await checkCredits(world, truth)),
    ...(await checkHoldings(world, truth)),
    ...(await checkLog(world)),
    ...(await checkStates(world)),
    ...(await reservedAtRest(world)),
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
  for (const order of orders) {
    const { key, amount } = order;
    const withdrawal = found.get(key);
    const count = times.get(amount) ?? 0;
    if (count > 1) faults.push(`double payout: ${key} was paid ${count} times`);
    if (withdrawal === undefined) faults.push(`${key} is lost`);
    else if (parseAmount(withdrawal.amount) !== parseAmount(amount)) faults.push(`${key} is of ${withdrawal.amount}`);
    else if (withdrawal.state === 'COMPLETED' && count !== 1) faults.push(`false success: ${key} was not paid`);
    else if (withdrawal.state !== 'COMPLETED' && isFinal(withdrawal.state) && count !== 0)
      faults.push(`false failure: ${key} is ${withdrawal.state} and was paid`);
    if (withdrawal !== undefined && !endsOf(order).includes(withdrawal.state))
      faults.push(`${key} to ${order.payee}${order.isCancelled ? ', wanted back,' : ''} is ${withdrawal.state}`);
  }
  return faults;
}

/** What becomes of an order where nothing is wrong: each payee does what it always does, and nobody takes back what nobody wants back. */
function endsOf({ payee, isCancelled }: Order): readonly WithdrawalState[] {
  if (isCancelled) return ['CANCELLED', 'RETURNED'];
  switch (payee) {
    case 'bob':
    case 'carol':
      return ['COMPLETED'];
    case 'dave':
      return ['RETURNED'];
    case 'erin':
      return ['OFFERED'];
  }
}

/** Each deposit by itself, since no two are of the same amount; whose it is, or nobody's; and what customers have in the end. */
async function checkCredits({ server, orders }: World, { deposited, offersOpen, paid }: Truth): Promise<Violations> {
  const faults: string[] = [];
  const nameOf = (owner: string, amount: string): string =>
    `${formatAmount(parseAmount(amount))} of ${owner === '' ? 'nobody' : owner}`;
  const { rows } = await sql<{ owner: string; amount: string }>`
    SELECT coalesce(a.owner, '') AS owner, t.holdings_delta::text AS amount
    FROM transfer t LEFT JOIN attribution b ON b.transfer_id = t.id LEFT JOIN account a ON a.id = b.account_id AND a.kind = 'CUSTOMER'
    WHERE t.direction = 'IN' AND t.kind IN ('DIRECT', 'OFFER') AND t.status = 'COMPLETED'`.execute(server.db);
  const credits = new Map<string, number>();
  for (const { owner, amount } of rows)
    credits.set(nameOf(owner, amount), (credits.get(nameOf(owner, amount)) ?? 0) + 1);
  for (const { memo, amount } of deposited) {
    const name = nameOf(CUSTOMERS[memo] ?? '', amount);
    const count = credits.get(name) ?? 0;
    credits.delete(name);
    if (count !== 1) faults.push(`${count === 0 ? 'lost' : 'double'} credit: ${name} is there ${count} times`);
  }
  for (const name of credits.keys()) faults.push(`false credit: ${name}, which nobody paid in`);

  const wanted = new Map(Object.values(CUSTOMERS).map((owner) => [owner, 0n]));
  const add = (owner: string, units: bigint) => wanted.set(owner, (wanted.get(owner) ?? 0n) + units);
  for (const { memo, amount } of deposited) {
    const owner = CUSTOMERS[memo];
    if (owner !== undefined) add(owner, parseAmount(amount));
  }
  for (const amount of Object.values(paid).flat()) add(WITHDRAWER, -parseAmount(amount));
  // Nobody has taken these yet, and nobody wants them back.
  for (const { payee, amount, isCancelled } of orders)
    if (payee === 'erin' && !isCancelled) add(WITHDRAWER, -parseAmount(amount));
  const { rows: balances } = await sql<{ owner: string; balance: string }>`
    SELECT a.owner, sum(b.balance)::text AS balance FROM account a JOIN account_balance b ON b.account_id = a.id
    WHERE a.kind = 'CUSTOMER' GROUP BY a.owner`.execute(server.db);
  const found = new Map(balances.map(({ owner, balance }) => [owner, parseAmount(balance)]));
  for (const owner of new Set([...wanted.keys(), ...found.keys()])) {
    const [has, should] = [found.get(owner) ?? 0n, wanted.get(owner) ?? 0n];
    if (has !== should) faults.push(`${owner} has ${has} units, and should have ${should}`);
  }
  if (offersOpen !== 0) faults.push(`${offersOpen} offers lie where they were`);
  return faults;
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
  // Counted at once: asked for each deposit, the log would be read as often.
  const { rows: twice } = await sql<{ id: string; count: number }>`
    WITH announced AS MATERIALIZED (
      SELECT subject, count(*)::int AS count FROM event WHERE type IN ('deposit.credited', 'deposit.unattributed') GROUP BY subject
    )
    SELECT t.id, coalesce(a.count, 0) AS count FROM transfer t LEFT JOIN announced a ON a.subject = t.id
    WHERE t.direction = 'IN' AND t.kind IN ('DIRECT', 'OFFER') AND t.status = 'COMPLETED' AND a.count IS DISTINCT FROM 1 LIMIT ${SHOWN_MAX}`.execute(
    server.db,
  );
  for (const { id, count } of twice) faults.push(`deposit ${id} was announced ${count} times`);
  const { rows: ends } = await sql<{ key: string; state: string; count: number }>`
    WITH announced AS MATERIALIZED (
      SELECT subject, count(*)::int AS count FROM event WHERE type = ${WITHDRAWAL_CHANGED} AND (payload->>'isFinal')::boolean GROUP BY subject
    )
    SELECT w.idempotency_key AS key, w.state, coalesce(a.count, 0) AS count FROM withdrawal w LEFT JOIN announced a ON a.subject = w.id
    WHERE coalesce(a.count, 0) <> CASE WHEN w.state IN ('COMPLETED', 'RETURNED', 'CANCELLED', 'FAILED', 'REJECTED') THEN 1 ELSE 0 END
    LIMIT ${SHOWN_MAX}`.execute(server.db);
  for (const { key, state, count } of ends) faults.push(`the end of ${key}, ${state}, was announced ${count} times`);
  return faults;
}

/** What a system at rest must not have: anything set aside, frozen, halted or parked. */
async function checkStates({ server }: World): Promise<Violations> {
  const { rows } = await sql<{ what: string; count: number }>`
    SELECT what, count FROM (
      SELECT 'updates in quarantine' AS what, count(*)::int AS count FROM quarantine
      UNION ALL SELECT 'freezes of money: ' || coalesce(string_agg(reason || ' ' || detail, '; '), ''), count(*)::int FROM money_freeze WHERE lifted_at IS NULL
      UNION ALL SELECT 'halted streams: ' || coalesce(string_agg(status_reason, '; '), ''), count(*)::int FROM ingestion_stream WHERE status = 'HALTED'
      UNION ALL SELECT 'parked offers: ' || coalesce(string_agg(reason, '; '), ''), count(*)::int FROM offer_action WHERE state = 'PARKED'
      UNION ALL SELECT 'parked returns: ' || coalesce(string_agg(trouble_code, '; '), ''), count(*)::int FROM offer_return WHERE state = 'PARKED'
      UNION ALL SELECT 'parked screenings', count(*)::int FROM screening WHERE state = 'PARKED'
      UNION ALL SELECT 'failed withdrawals: ' || coalesce(string_agg(failure_code, '; '), ''), count(*)::int FROM withdrawal WHERE state IN ('FAILED', 'REJECTED', 'UNRESOLVED')
    ) AS counted WHERE count > 0`.execute(server.db);
  return rows.map(({ what, count }) => `${count} ${what}`);
}

async function reservedAtRest({ server }: World): Promise<Violations> {
  return (await heldHoldings(server.db)).map((what) => `at rest ${what}`);
}

/** Nothing is reserved at rest. Whose it is, in which state and since when, tells work that has just begun from work that hangs, and from money that nobody gives back. */
export async function heldHoldings(db: Database): Promise<readonly string[]> {
  const { rows } = await sql<{ what: string }>`
    SELECT count(*) || ' holdings are reserved, ' || count(h.archived_update_id) || ' of them gone, ' || count(r.broken_by) || ' noted as such: by '
      || s.purpose || ' ' || coalesce(s.withdrawal_id, s.offer_action_id, s.offer_return_id, s.self_transfer_id)
      || ' (' || concat_ws(', ', w.state, o.state, b.state, x.state, x.kind, x.why) || '), attempt ' || r.number || ' ' || a.state
      || ', opened at ' || ${at(sql`a.opened_at`)} || ', signature asked for at ' || coalesce(${at(sql`a.sign_requested_at`)}, 'no time')
      || ', closed at ' || coalesce(${at(sql`a.closed_at`)}, 'no time') || ', ' || a.tries || ' tries, last error: ' || coalesce(a.last_error, 'none') AS what
    FROM reservation r
    JOIN attempt a ON a.submission_id = r.submission_id AND a.number = r.number
    JOIN submission s ON s.id = r.submission_id
    LEFT JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
    LEFT JOIN withdrawal w ON w.id = s.withdrawal_id
    LEFT JOIN offer_action o ON o.id = s.offer_action_id
    LEFT JOIN offer_return b ON b.withdrawal_id = s.offer_return_id
    LEFT JOIN self_transfer x ON x.id = s.self_transfer_id
    WHERE r.is_open
    GROUP BY r.submission_id, r.number, s.id, a.submission_id, a.number, w.id, o.id, b.withdrawal_id, x.id
    ORDER BY a.opened_at LIMIT ${SHOWN_MAX}`.execute(db);
  return rows.map(({ what }) => what);
}

/** Of a time in microseconds: the same text however often it is looked at. */
function at(micros: RawBuilder<unknown>): RawBuilder<string> {
  return sql<string>`to_char(to_timestamp(${micros} / 1000000.0) AT TIME ZONE 'UTC', 'HH24:MI:SS.MS')`;
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
