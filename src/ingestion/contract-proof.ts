/**
 * The proof of continuity for a treasury whose updates are all pruned: contracts outlive pruning, with the offset at which they were created. What is active
 * at the offset where reading resumes must be exactly what we hold, created where we saw it created.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { readActiveContracts } from './active-contracts.ts';
import type { Treasury } from './effect-sink.ts';
import { SNAPSHOT_PREFIX } from './known-updates.ts';
import { contractsInQuarantine } from './open-quarantine.ts';
import type { Position } from './position.ts';

type Held = {
  readonly contractId: string /** In the present epoch; null: created in another one, or before we looked. */;
  readonly createdAt: bigint | null;
};

/** @throws PermanentError HISTORY_CHANGED; RetryableError of the calls. */
export async function proveByContracts(
  {
    db,
    ledger,
    treasury,
    position,
    clock,
    signal,
  }: {
    readonly db: Database;
    readonly ledger: Ledger;
    readonly treasury: Treasury;
    readonly position: Position;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
  offset: bigint,
): Promise<void> {
  const { holdings, createdAt } = await readActiveContracts({ ledger, treasury, clock, signal }, offset);
  const ours = await activeHoldings(db, treasury, position.epoch);
  const elsewhere = ours.filter(({ contractId, createdAt: known }) => {
    const shown = createdAt.get(contractId);
    return known !== null && shown !== undefined && shown !== known;
  });
  const oursById = new Set(ours.map(({ contractId }) => contractId));
  // What could not be read is not in the tables: neither what it brought nor what it took.
  const unread = await contractsInQuarantine(db, treasury);
  const vanished = ours.filter(({ contractId }) => !createdAt.has(contractId) && !unread.consumed.has(contractId));
  const appeared = holdings.filter((contractId) => !oursById.has(contractId) && !unread.created.has(contractId));
  if (elsewhere.length + vanished.length + appeared.length === 0) return;
  throw new PermanentError('HISTORY_CHANGED', 'What the participant has active is not what we hold.', {
    offset,
    createdElsewhere: elsewhere.map(({ contractId }) => contractId).slice(0, 3),
    vanished: vanished.map(({ contractId }) => contractId).slice(0, 3),
    appeared: appeared.slice(0, 3),
  });
}

async function activeHoldings(db: Database, treasury: Treasury, epoch: number): Promise<readonly Held[]> {
  const { rows } = await sql<Held>`
    SELECT h.contract_id AS "contractId",
           CASE WHEN u.epoch = ${epoch} AND NOT starts_with(u.update_id, ${SNAPSHOT_PREFIX}) THEN u.ledger_offset END AS "createdAt"
    FROM holding h JOIN ledger_update u ON u.treasury_id = h.treasury_id AND u.update_id = h.created_update_id
    WHERE h.treasury_id = ${treasury.id} AND h.archived_update_id IS NULL`.execute(db);
  return rows;
}
