/** What our database says at a moment of a drill, in the terms in which the network can be asked the same. */
import { sql } from 'kysely';
import { checkBooks } from '../books/check-books.ts';
import type { Database } from '../db/connection.ts';
import { compareWithRebuild } from '../ingestion/rebuild.ts';
import { listTreasuries } from './treasuries.ts';

export type StreamState = {
  readonly status: string;
  readonly statusReason: string | null;
  readonly epoch: number;
  readonly participantId: string | null;
  readonly offset: bigint;
  readonly verifiedOffset: bigint | null;
  readonly updatesCount: bigint;
};

/** Amounts are decimal texts with ten decimals; maps are by instrument id, or by account and instrument id. */
export type Books = {
  readonly held: ReadonlyMap<string, string>;
  readonly credited: ReadonlyMap<string, string>;
  readonly unattributed: ReadonlyMap<string, string>;
  readonly announced: bigint;
  readonly credits: bigint;
  /** By our own automation, and seen to be. */
  readonly acceptedOffers: bigint;
  readonly completedPayouts: bigint;
  readonly paidOut: string;
  /** In words: whatever does not follow from the stored updates, is quarantined, frozen or wrongly booked. */
  readonly faults: readonly string[];
};

export function readBooks(db: Database, network: string) {
  return {
    stream: async (): Promise<StreamState> => {
      const { rows } = await sql<StreamState>`
        SELECT s.status, s.status_reason AS "statusReason", s.epoch, s.participant_id AS "participantId", s.ledger_offset AS offset,
               s.verified_offset AS "verifiedOffset", s.updates_count AS "updatesCount"
        FROM ingestion_stream s JOIN treasury_party t ON t.id = s.treasury_id JOIN network n ON n.id = t.network_id
        WHERE n.name = ${network}`.execute(db);
      const [row] = rows;
      if (row === undefined) throw new RangeError('The drill has a treasury.');
      return row;
    },
    openPayouts: async (): Promise<bigint> => {
      const { rows } = await sql<{ count: bigint }>`
        SELECT count(*) FROM withdrawal w JOIN network n ON n.id = w.network_id
        WHERE n.name = ${network} AND w.state NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'REJECTED', 'RETURNED')`.execute(
        db,
      );
      return rows[0]?.count ?? 0n;
    },
    all: async (): Promise<Books> => ({
      ...(await amounts(db, network)),
      faults: [...(await faultsOf(db, network))],
    }),
  };
}

async function amounts(db: Database, network: string): Promise<Omit<Books, 'faults'>> {
  const mapOf = (rows: readonly { key: string; amount: string }[]) =>
    new Map(rows.map(({ key, amount }) => [key, amount]));
  const held = await sql<{ key: string; amount: string }>`
    SELECT i.instrument_id AS key, sum(h.amount::numeric)::text AS amount
    FROM holding h JOIN instrument i ON i.id = h.instrument_id JOIN network n ON n.id = i.network_id
    WHERE n.name = ${network} AND h.archived_update_id IS NULL GROUP BY 1`.execute(db);
  const credited = await sql<{ key: string; amount: string }>`
    SELECT a.owner || ' ' || i.instrument_id AS key, sum(t.holdings_delta::numeric)::text AS amount
    FROM attribution x JOIN transfer t ON t.id = x.transfer_id JOIN account a ON a.id = x.account_id
    JOIN instrument i ON i.id = t.instrument_id JOIN network n ON n.id = a.network_id
    WHERE n.name = ${network} GROUP BY 1`.execute(db);
  const unattributed = await sql<{ key: string; amount: string }>`
    SELECT i.instrument_id AS key, b.balance::text AS amount
    FROM account_balance b JOIN account a ON a.id = b.account_id JOIN instrument i ON i.id = b.instrument_id
    JOIN network n ON n.id = a.network_id
    WHERE n.name = ${network} AND a.kind = 'UNATTRIBUTED' AND b.balance <> 0`.execute(db);
  const { rows } = await sql<Pick<Books, 'announced' | 'credits' | 'acceptedOffers' | 'completedPayouts' | 'paidOut'>>`
    SELECT (SELECT count(DISTINCT subject) FROM (SELECT type, subject FROM event UNION ALL SELECT type, subject FROM event_outbox) e
            WHERE type = 'deposit.credited' AND subject IN (SELECT t.id FROM transfer t JOIN treasury_party p ON p.id = t.treasury_id WHERE p.network_id = n.id)) AS announced,
           (SELECT count(*) FROM attribution x JOIN account a ON a.id = x.account_id WHERE a.network_id = n.id) AS credits,
           (SELECT count(*) FROM offer_action o JOIN treasury_party p ON p.id = o.treasury_id
            WHERE p.network_id = n.id AND o.choice = 'ACCEPT' AND o.state = 'DONE' AND o.reason IS NULL) AS "acceptedOffers",
           (SELECT count(*) FROM withdrawal w WHERE w.network_id = n.id AND w.state = 'COMPLETED') AS "completedPayouts",
           (SELECT coalesce(sum(w.amount::numeric), 0)::numeric(38, 10)::text FROM withdrawal w WHERE w.network_id = n.id AND w.state = 'COMPLETED') AS "paidOut"
    FROM network n WHERE n.name = ${network}`.execute(db);
  const [counts] = rows;
  if (counts === undefined) throw new RangeError('The drill has a network.');
  return { held: mapOf(held.rows), credited: mapOf(credited.rows), unattributed: mapOf(unattributed.rows), ...counts };
}

async function* faultLines(db: Database, network: string): AsyncGenerator<string> {
  for (const treasury of await listTreasuries(db)) {
    if (treasury.network !== network) continue;
    for (const { table, onlyStored, onlyRebuilt } of (await compareWithRebuild(db, treasury)).differences) {
      yield `${table}: ${onlyStored.length} rows do not follow from the stored updates, ${onlyRebuilt.length} are missing`;
    }
    const quarantined = await db
      .selectFrom('quarantine')
      .select(['update_id', 'reason'])
      .where('treasury_id', '=', treasury.id)
      .execute();
    for (const { update_id: updateId, reason } of quarantined) yield `update ${updateId} is quarantined: ${reason}`;
    const freezes = await db
      .selectFrom('money_freeze')
      .select(['reason', 'detail'])
      .where('treasury_id', '=', treasury.id)
      .where('lifted_at', 'is', null)
      .execute();
    for (const { reason, detail } of freezes) yield `frozen, ${reason}: ${detail}`;
  }
  for (const { kind, ...facts } of await checkBooks(db)) yield `books: ${kind} ${JSON.stringify(facts)}`;
}

async function faultsOf(db: Database, network: string): Promise<readonly string[]> {
  const faults: string[] = [];
  for await (const line of faultLines(db, network)) faults.push(line);
  return faults;
}
