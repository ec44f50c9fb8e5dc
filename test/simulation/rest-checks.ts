/** What must hold once everything has come to rest: the database against the network's own truth, table by table. */
import type pg from 'pg';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { transferId } from '../../src/tokens/ids.ts';
import { named } from './server-sessions.ts';
import type { Traffic } from './traffic.ts';
import type { Truth } from './truth.ts';
import { must } from './violation.ts';

export async function checkUpdates(observer: pg.Client, truth: Truth): Promise<void> {
  const { rows } = await observer.query<{ offset: string; updateId: string; recordTime: string }>(
    named(
      'SELECT ledger_offset::text AS offset, update_id AS "updateId", record_time::text AS "recordTime" FROM ledger_update ORDER BY epoch, ledger_offset',
    ),
  );
  const expected = truth
    .updates()
    .map(({ offset, updateId, recordTime }) => ({ offset: String(offset), updateId, recordTime: String(recordTime) }));
  const comparable = (list: typeof rows) =>
    truth.isRenumbered() ? list.map(({ updateId, recordTime }) => ({ updateId, recordTime })) : list;
  must(isEqual(comparable(rows), comparable(expected)), 'every update is stored once, in its place', {
    stored: rows.length,
    expected: expected.length,
  });
}

export async function checkHoldings(observer: pg.Client, truth: Truth): Promise<void> {
  const { rows } = await observer.query<{ contractId: string; amount: string }>(
    named('SELECT contract_id AS "contractId", amount::text FROM holding WHERE archived_update_id IS NULL'),
  );
  const held = new Map(rows.map(({ contractId, amount }) => [contractId, parseAmount(amount)]));
  const active = truth.holdings();
  must(
    held.size === active.size && [...active].every(([contractId, units]) => held.get(contractId) === units),
    "holdings are the network's active contracts",
    { held: held.size, active: active.size },
  );
}

/** Ids follow from (party, update id, rank) and ranks count from zero: what another participant's node ids cannot change. */
export async function checkRanks(observer: pg.Client, party: string): Promise<void> {
  const { rows } = await observer.query<{ updateId: string; rank: number; id: string; expected: number }>(
    named(
      `SELECT update_id AS "updateId", rank, id, (row_number() OVER (PARTITION BY update_id ORDER BY rank) - 1)::int AS expected FROM transfer`,
    ),
  );
  for (const { updateId, rank, id, expected } of rows) {
    must(rank === expected && id === transferId(party, updateId, rank), 'transfer ids follow from update id and rank', {
      updateId,
      rank,
      expected,
    });
  }
}

export async function checkDeposits(observer: pg.Client, traffic: Traffic): Promise<void> {
  const { rows } = await observer.query<{ owner: string | null; instrument: string; times: number; total: string }>(
    named(`SELECT a.owner, i.instrument_id AS instrument, count(*)::int AS times, sum(t.holdings_delta::numeric)::text AS total
     FROM transfer t JOIN instrument i ON i.id = t.instrument_id
     LEFT JOIN attribution b ON b.transfer_id = t.id LEFT JOIN account a ON a.id = b.account_id
     WHERE t.direction = 'IN' AND t.kind IN ('DIRECT', 'OFFER') AND t.status = 'COMPLETED'
     GROUP BY 1, 2`),
  );
  const found = Object.fromEntries(
    rows.map(({ owner, instrument, times, total }) => [`${owner ?? ''}/${instrument}`, `${times} ${total}`]),
  );
  const sums = new Map<string, { times: number; units: bigint }>();
  for (const { customer, instrumentId, units } of traffic.deposits()) {
    const key = `${customer ?? ''}/${instrumentId}`;
    const sum = sums.get(key) ?? { times: 0, units: 0n };
    sums.set(key, { times: sum.times + 1, units: sum.units + units });
  }
  const expected = Object.fromEntries(
    [...sums].map(([key, { times, units }]) => [key, `${times} ${formatAmount(units)}`]),
  );
  must(isEqual(found, expected), 'every deposit is credited once, to whom its memo names', { found, expected });

  const balances = await observer.query<{ key: string; total: string }>(
    named(`SELECT a.owner || '/' || i.instrument_id AS key, sum(b.balance)::text AS total
     FROM account_balance b JOIN account a ON a.id = b.account_id JOIN instrument i ON i.id = b.instrument_id
     WHERE a.kind IN ('CUSTOMER', 'UNATTRIBUTED') AND a.owner NOT LIKE 'withdrawer-%' GROUP BY 1`),
  );
  const booked = Object.fromEntries(balances.rows.map(({ key, total }) => [key, total]));
  const owed = Object.fromEntries([...sums].map(([key, { units }]) => [key, formatAmount(units)]));
  must(isEqual(booked, owed), 'customers have on their accounts what they deposited', { booked, owed });
}

export async function checkReceived(observer: pg.Client, received: readonly string[]): Promise<void> {
  const { rows } = await observer.query<{ eventId: string; position: string }>(
    named('SELECT event_id AS "eventId", position::text FROM event ORDER BY event.position'),
  );
  must(
    isEqual(
      rows.map(({ eventId }) => eventId),
      [...received],
    ),
    'what was received is the log',
    {
      events: rows.length,
      received: received.length,
      first: rows.findIndex(({ eventId }, index) => eventId !== received[index]),
    },
  );
  must(
    rows.every(({ position }, index) => position === String(index + 1)),
    'positions are dense',
    {},
  );
}

/** One announcement per transfer and state, no more and no less. */
export async function checkAnnouncements(observer: pg.Client): Promise<void> {
  const missing = await observer.query(
    named(`SELECT t.id, t.status, expected.type FROM transfer t CROSS JOIN LATERAL (
       SELECT CASE WHEN t.status = 'COMPLETED' THEN CASE WHEN EXISTS (SELECT FROM attribution b WHERE b.transfer_id = t.id) THEN 'deposit.credited' ELSE 'deposit.unattributed' END
                   WHEN t.status = 'PENDING' THEN NULL ELSE 'offer.ended' END AS type
       UNION ALL SELECT 'offer.received' WHERE t.kind = 'OFFER'
     ) AS expected
     WHERE t.direction = 'IN' AND t.kind IN ('DIRECT', 'OFFER') AND expected.type IS NOT NULL
       AND (SELECT count(*) FROM event e WHERE e.subject = t.id AND e.type = expected.type) <> 1`),
  );
  must(missing.rows.length === 0, 'every deposit and offer is announced once', missing.rows[0]);
}

/** @returns a hash of the log: types and payloads in order. */
export async function checkEvents(observer: pg.Client): Promise<string> {
  const disordered = await observer.query(
    named(`SELECT a.subject FROM event a JOIN event b ON a.subject = b.subject AND a.position < b.position
     WHERE (a.payload->>'recordTime')::bigint > (b.payload->>'recordTime')::bigint`),
  );
  must(disordered.rows.length === 0, 'events of one subject are in ledger order', disordered.rows[0]);

  const extra = await observer.query(
    named(
      `SELECT e.event_id, e.type FROM event e WHERE NOT EXISTS (SELECT FROM transfer t WHERE t.id = e.subject) AND NOT EXISTS (SELECT FROM withdrawal w WHERE w.id = e.subject) AND NOT EXISTS (SELECT FROM halt h WHERE h.id = e.subject) AND e.type <> 'policy.changed'`,
    ),
  );
  must(extra.rows.length === 0, 'every event is about something', extra.rows[0]);

  const { rows: hashes } = await observer.query<{ hash: string }>(
    named(
      `SELECT encode(sha256(convert_to(coalesce(string_agg(position || type || subject || payload::text, '|' ORDER BY position), ''), 'UTF8')), 'hex') AS hash FROM event`,
    ),
  );
  return hashes[0]?.hash ?? '';
}

/** Of JSON, whatever the order of its keys. */
export function isEqual(left: unknown, right: unknown): boolean {
  return JSON.stringify(sorted(left)) === JSON.stringify(sorted(right));
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)));
}
