/**
 * A treasury's holdings and open offers beside the participant's active contracts, at one offset. Says what differs, contract by contract; changes nothing.
 *
 * One REPEATABLE READ transaction of the caller gives the position and the rows that belong to it; the contracts are read at exactly that position into a temporary table, page by page, so that
 * neither side is ever in memory as a whole. A running stream goes on meanwhile.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import { formatAmount } from '../tokens/amount.ts';
import { type ActiveEntry, type ActiveSetSource, readActiveSet } from './active-set.ts';
import type { Treasury } from './effect-sink.ts';
import { updateFormatFor } from './update-format.ts';

export type ContractDifference = {
  /** On the ledger and not in our tables; in our tables and not on the ledger; another amount or instrument; the ledger's cannot be read. */
  readonly kind: 'MISSING' | 'EXTRA' | 'OTHER' | 'OFFER_MISSING' | 'OFFER_EXTRA' | 'OFFER_OTHER' | 'UNREADABLE';
  readonly contractId: string;
};

export type InstrumentReconciliation = {
  /** The database's number. */
  readonly instrumentKey: number;
  /** Sums, as decimal text. */
  readonly onLedger: string;
  readonly inHoldings: string;
  readonly contractsCount: bigint;
  /** The first {@link DIFFERENCES_SHOWN_MAX}. */
  readonly differences: readonly ContractDifference[];
  readonly differingCount: bigint;
  /** Those of them that put money of ours in doubt: holdings and offers that we made. A stranger's offer is his own affair. */
  readonly doubtfulCount: bigint;
};

export type Reconciliation = {
  readonly epoch: number;
  readonly offset: bigint;
  readonly holdingsCount: bigint;
  readonly offersCount: bigint;
  /** Every instrument of which either side has a holding, or an offer differs. */
  readonly instruments: readonly InstrumentReconciliation[];
  /** What differs and belongs to no instrument in our tables. */
  readonly others: readonly ContractDifference[];
  readonly othersCount: bigint;
  /** Those of them that we signed and cannot read: any money of ours may be in them. */
  readonly othersDoubtfulCount: bigint;
};

/** The code of a stream that has not begun, or that reads again what it knows: too early, and no trouble. */
export const NOTHING_TO_COMPARE = 'NOTHING_TO_COMPARE';

export const DIFFERENCES_SHOWN_MAX = 20; // One is enough to alarm, twenty to see a pattern.

/**
 * @param tx REPEATABLE READ, so that position and rows are of one moment.
 * @throws RetryableError NOTHING_TO_COMPARE, OTHER_PARTICIPANT, OTHER_HISTORY when this participant cannot be compared with at the moment, and what its calls throw.
 */
export async function reconcile(
  tx: Transaction,
  {
    treasury,
    ledger,
    clock,
    signal,
  }: {
    readonly treasury: Treasury;
    readonly ledger: ActiveSetSource;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<Reconciliation> {
  const position = await comparablePosition(tx, treasury, ledger);
  // What one round leaves behind is gone with its transaction.
  await sql`
    CREATE TEMPORARY TABLE active_contract (
      contract_id text, kind text, instrument_id integer, amount numeric, is_outgoing boolean, PRIMARY KEY (contract_id, kind)
    ) ON COMMIT DROP`.execute(tx);
  const offset = await loadActiveSet(tx, treasury, position, (at) =>
    readActiveSet(ledger, { party: treasury.party, offset: at, clock, signal }),
  );
  // Before and after: who was put back in between showed us the contracts of another moment.
  await demandInPlace(treasury, ledger, position);
  const { holdingsCount, offersCount } = await counts(tx);
  const differing = await differences(tx, treasury);
  const others = differing.filter(({ instrumentKey }) => instrumentKey === null);
  return {
    epoch: position.epoch,
    offset,
    holdingsCount,
    offersCount,
    instruments: (await sums(tx, treasury)).map((row) => {
      const own = differing.filter(({ instrumentKey }) => instrumentKey === row.instrumentKey);
      const { count = 0n, doubtfulCount = 0n } = own[0] ?? {};
      return { ...row, differences: own.map(bare), differingCount: count, doubtfulCount };
    }),
    others: others.map(bare),
    othersCount: others[0]?.count ?? 0n,
    othersDoubtfulCount: others[0]?.doubtfulCount ?? 0n,
  };
}

type ComparablePosition = {
  readonly epoch: number;
  readonly offset: bigint;
  /** Our newest update; null: there is none. */
  readonly updateId: string | null;
  /** Its offset; that of the position where there is none. */
  readonly verifiedOffset: bigint;
};

/** The position, once it is proven that this participant's offsets are the ones it counts in. */
async function comparablePosition(
  tx: Transaction,
  treasury: Treasury,
  ledger: ActiveSetSource,
): Promise<ComparablePosition> {
  const row = await tx
    .selectFrom('ingestion_stream')
    .selectAll()
    .where('treasury_id', '=', treasury.id)
    .executeTakeFirst();
  if (row === undefined || row.participant_id === null) {
    throw new RetryableError(NOTHING_TO_COMPARE, 'The stream has not been connected yet.');
  }
  const participantId = await ledger.participantId(row.participant_id);
  if (participantId !== row.participant_id) {
    const facts = { stored: row.participant_id, connected: participantId };
    throw new RetryableError('OTHER_PARTICIPANT', 'Offsets of another participant are stored.', facts);
  }
  const { epoch, ledger_offset: offset, verified_update_id: updateId, verified_offset } = row;
  const verifiedOffset = verified_offset ?? offset;
  const anchor = await anchorOffset(tx, treasury, epoch);
  if (anchor !== null && anchor > verifiedOffset) {
    const facts = { epoch, anchorOffset: anchor, offset };
    throw new RetryableError(NOTHING_TO_COMPARE, 'The stream has not yet read up to our newest update again.', facts);
  }
  const position = { epoch, offset, updateId: verified_offset === null ? null : updateId, verifiedOffset };
  await demandInPlace(treasury, ledger, position);
  return position;
}

/** @throws RetryableError OTHER_HISTORY unless our newest update is where we have it: offsets of a participant that was put back are other places. */
async function demandInPlace(
  treasury: Treasury,
  ledger: ActiveSetSource,
  { updateId, verifiedOffset }: ComparablePosition,
): Promise<void> {
  if (updateId === null) return;
  const found = await ledger.updateById(updateId, updateFormatFor(treasury.party));
  const foundOffset = found?.update?.value.offset ?? null;
  if (foundOffset === verifiedOffset) return;
  const facts = { updateId, storedOffset: verifiedOffset, foundOffset };
  throw new RetryableError('OTHER_HISTORY', 'Our newest update is not where it was.', facts);
}

/** Where the newest update that we had before an epoch stands in it: our rows are those of no earlier offset. Null: there was none. */
async function anchorOffset(tx: Transaction, treasury: Treasury, epoch: number): Promise<bigint | null> {
  const row = await tx
    .selectFrom('stream_epoch')
    .select('anchor_offset as offset')
    .where('treasury_id', '=', treasury.id)
    .where('epoch', '=', epoch)
    .executeTakeFirst();
  return row?.offset ?? null;
}

/**
 * @returns the offset that was read at: that of the newest update, which no restore can renumber unnoticed. On a quiet treasury the participant may have pruned beyond it; then the
 * position itself, up to which nothing more happened.
 */
async function loadActiveSet(
  tx: Transaction,
  treasury: Treasury,
  { offset, verifiedOffset }: ComparablePosition,
  activeAt: (offset: bigint) => AsyncIterable<readonly ActiveEntry[]>,
): Promise<bigint> {
  const readAt = async (at: bigint): Promise<bigint> => {
    for await (const page of activeAt(at)) await writePage(tx, treasury, page);
    return at;
  };
  try {
    return await readAt(verifiedOffset);
  } catch (error) {
    const isPruned = error instanceof PermanentError && error.code === 'PARTICIPANT_PRUNED_DATA_ACCESSED';
    if (!isPruned || offset === verifiedOffset) throw error;
    return await readAt(offset);
  }
}

/** A contract that several synchronizers list is one contract. */
async function writePage(tx: Transaction, { networkId }: Treasury, page: readonly ActiveEntry[]): Promise<void> {
  const column = <T>(pick: (entry: ActiveEntry) => T | null) => page.map(pick);
  await sql`
    INSERT INTO active_contract (contract_id, kind, instrument_id, amount, is_outgoing)
    SELECT entry.contract_id, entry.kind, instrument.id, entry.amount::numeric, entry.is_outgoing
    FROM unnest(
      ${column(({ contractId }) => contractId)}::text[], ${column(({ kind }) => kind)}::text[],
      ${column((entry) => ('instrument' in entry ? entry.instrument.admin : null))}::text[],
      ${column((entry) => ('instrument' in entry ? entry.instrument.id : null))}::text[],
      ${column((entry) => ('amount' in entry ? formatAmount(entry.amount) : null))}::text[],
      ${column((entry) => ('isOutgoing' in entry ? entry.isOutgoing : null))}::boolean[]
    ) AS entry (contract_id, kind, admin, instrument, amount, is_outgoing)
    LEFT JOIN instrument ON instrument.network_id = ${networkId} AND instrument.admin = entry.admin
      AND instrument.instrument_id = entry.instrument
    ON CONFLICT DO NOTHING`.execute(tx);
}

async function counts(tx: Transaction): Promise<{ readonly holdingsCount: bigint; readonly offersCount: bigint }> {
  const { rows } = await sql<{ holdingsCount: bigint; offersCount: bigint }>`
    SELECT count(*) FILTER (WHERE kind = 'HOLDING') AS "holdingsCount", count(*) FILTER (WHERE kind = 'OFFER') AS "offersCount"
    FROM active_contract`.execute(tx);
  return rows[0] ?? { holdingsCount: 0n, offersCount: 0n };
}

type Differing = ContractDifference & {
  readonly instrumentKey: number | null;
  readonly count: bigint;
  readonly doubtfulCount: bigint;
};

/** Per instrument the first of what differs, what puts money in doubt before the rest, with the counts of all of it. */
async function differences(tx: Transaction, treasury: Treasury): Promise<readonly Differing[]> {
  const { rows } = await sql<Differing>`
    WITH ours AS (
      SELECT 'HOLDING' AS kind, contract_id, instrument_id, amount::numeric AS amount, false AS is_outgoing FROM holding
      WHERE treasury_id = ${treasury.id} AND archived_update_id IS NULL
      UNION ALL
      SELECT 'OFFER', contract_id, instrument_id, amount::numeric, direction <> 'IN' FROM transfer_instruction
      WHERE treasury_id = ${treasury.id} AND ended_update_id IS NULL
    ), differing AS (
      SELECT coalesce(theirs.instrument_id, ours.instrument_id) AS "instrumentKey", contract_id AS "contractId",
        CASE WHEN theirs.kind = 'UNREADABLE' THEN 'UNREADABLE' ELSE
          CASE WHEN kind = 'OFFER' THEN 'OFFER_' ELSE '' END
          || CASE WHEN ours.amount IS NULL THEN 'MISSING' WHEN theirs.amount IS NULL THEN 'EXTRA' ELSE 'OTHER' END
        END AS kind,
        kind = 'UNREADABLE' OR (
          coalesce(theirs.instrument_id, ours.instrument_id) IS NOT NULL AND (kind = 'HOLDING' OR ours.is_outgoing IS TRUE OR theirs.is_outgoing IS TRUE)
        ) AS is_doubtful
      FROM ours FULL JOIN active_contract AS theirs USING (kind, contract_id)
      WHERE (ours.instrument_id, ours.amount) IS DISTINCT FROM (theirs.instrument_id, theirs.amount) OR theirs.kind = 'UNREADABLE'
    ), numbered AS (
      SELECT *, row_number() OVER (PARTITION BY "instrumentKey" ORDER BY is_doubtful DESC, kind, "contractId") AS line,
        count(*) OVER (PARTITION BY "instrumentKey") AS count,
        count(*) FILTER (WHERE is_doubtful) OVER (PARTITION BY "instrumentKey") AS "doubtfulCount"
      FROM differing
    )
    SELECT "instrumentKey", "contractId", kind, count, "doubtfulCount" FROM numbered WHERE line <= ${DIFFERENCES_SHOWN_MAX} ORDER BY "instrumentKey", line`.execute(
    tx,
  );
  return rows;
}

/** Per instrument what either side has. */
async function sums(
  tx: Transaction,
  treasury: Treasury,
): Promise<readonly Omit<InstrumentReconciliation, 'differences' | 'differingCount' | 'doubtfulCount'>[]> {
  const { rows } = await sql<Omit<InstrumentReconciliation, 'differences' | 'differingCount' | 'doubtfulCount'>>`
    WITH ours AS (
      SELECT instrument_id, sum(amount::numeric) AS amount FROM holding
      WHERE treasury_id = ${treasury.id} AND archived_update_id IS NULL GROUP BY 1
    ), theirs AS (
      SELECT instrument_id, coalesce(sum(amount) FILTER (WHERE kind = 'HOLDING'), 0) AS amount,
        count(*) FILTER (WHERE kind = 'HOLDING') AS count
      FROM active_contract WHERE instrument_id IS NOT NULL GROUP BY 1
    ), offered AS (
      SELECT DISTINCT instrument_id FROM transfer_instruction WHERE treasury_id = ${treasury.id} AND ended_update_id IS NULL
    )
    SELECT instrument_id AS "instrumentKey", coalesce(theirs.amount, 0)::text AS "onLedger",
      coalesce(ours.amount, 0)::text AS "inHoldings", coalesce(theirs.count, 0) AS "contractsCount"
    FROM ours FULL JOIN theirs USING (instrument_id) FULL JOIN offered USING (instrument_id)
    ORDER BY instrument_id`.execute(tx);
  return rows;
}

function bare({ kind, contractId }: Differing): ContractDifference {
  return { kind, contractId };
}
