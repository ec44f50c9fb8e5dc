/**
 * The statements that write derived rows, one per table and kind of change, whatever the number of rows. They name the tables without a schema: a rebuild makes tables
 * of the same names elsewhere, which PostgreSQL finds first, and runs the very same code (`rebuild.ts`).
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { insertRows, relationOf } from '../db/row-arrays.ts';
import { formatAmount } from '../tokens/amount.ts';
import { META_REASON } from '../tokens/standard.ts';
import { type Instrument, transferToJson } from '../tokens/transfer-record.ts';
import type { UpdateEffects } from '../tokens/update-effects.ts';
import type { KnownInstrument, TransferChange, Treasury } from './effect-sink.ts';
import type { ReceivedUpdate } from './received-update.ts';

export type ReadUpdate = { readonly update: ReceivedUpdate; readonly effects: UpdateEffects };
export type InstrumentOf = (instrument: Instrument) => KnownInstrument;

/** They stand in an index, whose entries are limited; that there is a lock matters, and one has a holder or two. */
const LOCK_HOLDERS_MAX = 8;

const HOLDING_COLUMNS = {
  treasury_id: 'integer',
  contract_id: 'text',
  instrument_id: 'integer',
  amount: 'numeric',
  template: 'text',
  lock_holders: 'text[]',
  lock_expires_at: 'bigint',
  lock_expires_after: 'bigint',
  lock_context: 'text',
  created_update_id: 'text',
  created_record_time: 'bigint',
} as const;
const HOLDING_END_COLUMNS = {
  contract_id: 'text',
  archived_update_id: 'text',
  archived_record_time: 'bigint',
} as const;

export async function writeHoldings(
  tx: Transaction,
  treasury: Treasury,
  done: readonly ReadUpdate[],
  instrumentOf: InstrumentOf,
) {
  const created = done.flatMap(({ update, effects }) =>
    effects.holdingsCreated.map(({ contractId, instrument, amount, template, lock }) => ({
      treasury_id: treasury.id,
      contract_id: contractId,
      instrument_id: instrumentOf(instrument).key,
      amount: formatAmount(amount),
      template,
      lock_holders: lock?.holders.slice(0, LOCK_HOLDERS_MAX) ?? null,
      lock_expires_at: lock?.expiresAt ?? null,
      lock_expires_after: lock?.expiresAfter ?? null,
      lock_context: lock?.context ?? null,
      created_update_id: update.updateId,
      created_record_time: update.recordTime,
    })),
  );
  await insertRows(tx, 'holding', HOLDING_COLUMNS, created);
  const archived = done.flatMap(({ update, effects }) =>
    effects.holdingsArchived.map((contractId) => ({
      contract_id: contractId,
      archived_update_id: update.updateId,
      archived_record_time: update.recordTime,
    })),
  );
  if (archived.length > 0) {
    await sql`
      UPDATE holding SET archived_update_id = spent.archived_update_id, archived_record_time = spent.archived_record_time
      FROM ${relationOf(HOLDING_END_COLUMNS, archived)} AS spent
      WHERE holding.treasury_id = ${treasury.id} AND holding.contract_id = spent.contract_id`.execute(tx);
  }
}

const TRANSFER_COLUMNS = {
  treasury_id: 'integer',
  update_id: 'text',
  rank: 'integer',
  id: 'text',
  kind: 'text',
  direction: 'text',
  status: 'text',
  instrument_id: 'integer',
  amount: 'numeric',
  holdings_delta: 'numeric',
  counterparty: 'text',
  memo: 'text',
  transfer_object: 'jsonb',
  record_time: 'bigint',
  concluded_update_id: 'text',
  concluded_record_time: 'bigint',
} as const;
const TRANSFER_STEP_COLUMNS = {
  id: 'text',
  status: 'text',
  holdings_delta: 'numeric',
  concluded_update_id: 'text',
  concluded_record_time: 'bigint',
} as const;

export async function writeTransfers(
  tx: Transaction,
  treasury: Treasury,
  done: readonly ReadUpdate[],
  changes: readonly (readonly TransferChange[])[],
  instrumentOf: InstrumentOf,
) {
  const started = done.flatMap(({ update, effects }) =>
    effects.movements.map((movement) => ({
      treasury_id: treasury.id,
      update_id: update.updateId,
      rank: movement.rank,
      id: movement.id,
      kind: movement.kind,
      direction: movement.direction,
      status: movement.status,
      instrument_id: instrumentOf(movement.instrument).key,
      amount: formatAmount(movement.amount),
      holdings_delta: formatAmount(movement.holdingsDelta),
      counterparty: movement.counterparty,
      memo: movement.memo,
      transfer_object: movement.transfer && JSON.stringify(transferToJson(movement.transfer)),
      record_time: update.recordTime,
      concluded_update_id: movement.status === 'PENDING' ? null : update.updateId,
      concluded_record_time: movement.status === 'PENDING' ? null : update.recordTime,
    })),
  );
  await insertRows(tx, 'transfer', TRANSFER_COLUMNS, started);
  // A transfer may move on several times within a batch; its last state counts.
  const continued = new Map(
    changes.flat().flatMap((change) => (change.isNew ? [] : [[change.transferId, continuedRow(change)] as const])),
  );
  if (continued.size > 0) {
    await sql`
      UPDATE transfer SET status = step.status, holdings_delta = step.holdings_delta,
        concluded_update_id = step.concluded_update_id, concluded_record_time = step.concluded_record_time
      FROM ${relationOf(TRANSFER_STEP_COLUMNS, [...continued.values()])} AS step
      WHERE transfer.id = step.id`.execute(tx);
  }
}

function continuedRow(change: TransferChange) {
  const isConcluded = change.status !== 'PENDING';
  return {
    id: change.transferId,
    status: change.status,
    holdings_delta: formatAmount(change.earlierHoldingsDelta + change.holdingsDelta),
    concluded_update_id: isConcluded ? change.updateId : null,
    concluded_record_time: isConcluded ? change.recordTime : null,
  };
}

const INSTRUCTION_COLUMNS = {
  treasury_id: 'integer',
  contract_id: 'text',
  original_contract_id: 'text',
  transfer_id: 'text',
  direction: 'text',
  status: 'text',
  instrument_id: 'integer',
  amount: 'numeric',
  sender: 'text',
  receiver: 'text',
  memo: 'text',
  requested_at: 'bigint',
  execute_before: 'bigint',
  created_update_id: 'text',
  created_record_time: 'bigint',
} as const;
const INSTRUCTION_END_COLUMNS = {
  contract_id: 'text',
  status: 'text',
  ended_update_id: 'text',
  ended_record_time: 'bigint',
} as const;

export async function writeInstructions(
  tx: Transaction,
  treasury: Treasury,
  done: readonly ReadUpdate[],
  instrumentOf: InstrumentOf,
) {
  const opened = done.flatMap(({ update, effects }) =>
    effects.instructionsOpened.map(({ contractId, originalContractId, transferId, direction, transfer }) => ({
      treasury_id: treasury.id,
      contract_id: contractId,
      original_contract_id: originalContractId,
      transfer_id: transferId,
      direction,
      status: 'OPEN',
      instrument_id: instrumentOf(transfer.instrument).key,
      amount: formatAmount(transfer.amount),
      sender: transfer.sender,
      receiver: transfer.receiver,
      memo: transfer.meta.get(META_REASON) ?? null,
      requested_at: transfer.requestedAt,
      execute_before: transfer.executeBefore,
      created_update_id: update.updateId,
      created_record_time: update.recordTime,
    })),
  );
  await insertRows(tx, 'transfer_instruction', INSTRUCTION_COLUMNS, opened);
  const ended = done.flatMap(({ update, effects }) =>
    effects.instructionsEnded.map(({ contractId, status }) => ({
      contract_id: contractId,
      status,
      ended_update_id: update.updateId,
      ended_record_time: update.recordTime,
    })),
  );
  if (ended.length > 0) {
    await sql`
      UPDATE transfer_instruction SET status = step.status, ended_update_id = step.ended_update_id, ended_record_time = step.ended_record_time
      FROM ${relationOf(INSTRUCTION_END_COLUMNS, ended)} AS step
      WHERE transfer_instruction.treasury_id = ${treasury.id} AND transfer_instruction.contract_id = step.contract_id`.execute(
      tx,
    );
  }
}
