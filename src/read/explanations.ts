/** What one update of the ledger did, gathered from all that was written down of it: where it came in, what it moved, whom it was booked to and what it ended. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { restoreUpdate } from '../ingestion/received-update.ts';
import { type BookingFact, explanationText, type HoldingFact, type UpdateFacts } from './explanation-text.ts';
import { readTransfers, type Transfer } from './transfers.ts';
import type { TreasuryParty } from './treasury-parties.ts';
import { readWithdrawalsPaidBy } from './withdrawals.ts';

export type Explanation = {
  readonly treasury: TreasuryParty;
  readonly updateId: string;
  readonly recordTime: Micros;
  readonly synchronizerId: string;
  readonly offset: bigint;
  readonly epoch: number;
  /** Transfers that began, went on or ended in it. */
  readonly transfers: readonly Transfer[];
  /** In plain words, in the order in which things follow from each other. */
  readonly text: readonly string[];
};

/** One explanation for each treasury party that saw the update; none where none did, or none has come so far. */
export async function explainUpdate(db: Database, updateId: string): Promise<readonly Explanation[]> {
  const { rows } = await sql<UpdateRow>`
    SELECT u.treasury_id AS "treasuryId", network.name AS network, treasury_party.party, treasury_party.name, u.update_id AS "updateId",
      u.kind, u.record_time AS "recordTime", u.synchronizer_id AS "synchronizerId", u.ledger_offset AS "offset", u.epoch, u.received,
      q.reason, q.detail, q.closed_at AS "closedAt"
    FROM treasury_party
    JOIN network ON network.id = treasury_party.network_id
    JOIN ledger_update AS u ON u.treasury_id = treasury_party.id AND u.update_id = ${updateId}
    LEFT JOIN quarantine AS q ON q.treasury_id = u.treasury_id AND q.update_id = u.update_id
    ORDER BY network.name, treasury_party.party`.execute(db);
  return await Promise.all(rows.map(async (row) => await explainRow(db, row)));
}

type UpdateRow = Omit<UpdateFacts, 'treasury' | 'quarantine'> &
  TreasuryParty & {
    readonly treasuryId: number;
    readonly received: Buffer;
    readonly reason: string | null;
    readonly detail: string | null;
    readonly closedAt: Micros | null;
  };

async function explainRow(db: Database, row: UpdateRow): Promise<Explanation> {
  const { treasuryId, network, party, name, received, reason, detail, closedAt, ...known } = row;
  const treasury = { network, party, name };
  const quarantine = reason === null ? null : { reason, detail: detail ?? '', isOpen: closedAt === null };
  const contracts = contractsIn(received);
  const [holdings, transfers] = await Promise.all([
    readHoldingsOf(db, treasuryId, known.updateId, contracts),
    transfersOf(db, treasuryId, known.updateId, contracts),
  ]);
  const [withdrawals, bookings] = await Promise.all([
    readWithdrawalsPaidBy(
      db,
      transfers.map(({ id }) => id),
    ),
    readBookings(db, known.updateId, transfers),
  ]);
  const paid = withdrawals.filter((withdrawal) => withdrawal?.updateId === known.updateId);
  const facts: UpdateFacts = { ...known, treasury, quarantine };
  return {
    treasury,
    updateId: known.updateId,
    recordTime: known.recordTime,
    synchronizerId: known.synchronizerId,
    offset: known.offset,
    epoch: known.epoch,
    transfers,
    text: explanationText({ facts, holdings, transfers, paid: paid.flatMap((one) => one ?? []), bookings }),
  };
}

/** Ids of the contracts that the update created or consumed. The tables are asked by these: neither is indexed by update. */
function contractsIn(received: Buffer): readonly string[] {
  const events = restoreUpdate(received).transaction?.events ?? [];
  return events.flatMap(({ event }) => {
    if (event?.$case === 'created') return [event.value.contractId];
    return event?.$case === 'exercised' && event.value.consuming ? [event.value.contractId] : [];
  });
}

async function readHoldingsOf(
  db: Database,
  treasuryId: number,
  updateId: string,
  contracts: readonly string[],
): Promise<readonly HoldingFact[]> {
  const { rows } = await sql<HoldingFact>`
    SELECT h.contract_id AS "contractId", h.amount::text AS amount, instrument.name AS instrument, h.lock_holders IS NOT NULL AS "isLocked",
      h.created_update_id = ${updateId} AS "isGain"
    FROM holding AS h JOIN instrument ON instrument.id = h.instrument_id
    WHERE h.treasury_id = ${treasuryId} AND h.contract_id = ANY (${[...contracts]}::text[])
      -- What came and went within the update moved nothing.
      AND (h.created_update_id = ${updateId}) <> (h.archived_update_id IS NOT DISTINCT FROM ${updateId})
    ORDER BY "isGain", h.contract_id`.execute(db);
  return rows;
}

async function transfersOf(
  db: Database,
  treasuryId: number,
  updateId: string,
  contracts: readonly string[],
): Promise<readonly Transfer[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM transfer WHERE treasury_id = ${treasuryId} AND update_id = ${updateId}
    UNION
    SELECT transfer_id FROM transfer_instruction WHERE treasury_id = ${treasuryId} AND contract_id = ANY (${[...contracts]}::text[])`.execute(
    db,
  );
  const transfers = await readTransfers(
    db,
    rows.map(({ id }) => id),
  );
  return transfers
    .flatMap((transfer) => transfer ?? [])
    .sort((left, right) => Number(left.recordTime - right.recordTime) || left.id.localeCompare(right.id));
}

async function readBookings(
  db: Database,
  updateId: string,
  transfers: readonly Transfer[],
): Promise<readonly BookingFact[]> {
  const causes = transfers.flatMap(({ id }) => [`transfer:${id}:${updateId}`, `transfer:${id}:${updateId}:suspended`]);
  const { rows } = await sql<BookingFact>`
    SELECT journal_entry.description, posting.amount::text AS amount, instrument.name AS instrument,
      trim(debit.kind || ' ' || debit.owner) AS debit, trim(credit.kind || ' ' || credit.owner) AS credit
    FROM journal_entry
    JOIN posting ON posting.entry_id = journal_entry.id
    JOIN account AS debit ON debit.id = posting.debit_account_id
    JOIN account AS credit ON credit.id = posting.credit_account_id
    JOIN instrument ON instrument.id = posting.instrument_id
    WHERE journal_entry.cause = ANY (${causes}::text[])
    ORDER BY journal_entry.id, posting.line`.execute(db);
  return rows;
}
