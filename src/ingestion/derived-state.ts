/**
 * From effects to rows: the tables `holding`, `transfer` and `transfer_instruction`. The state of a batch is kept here while its updates are read one
 * after the other (a later one may consume what an earlier one created), and written with a handful of statements (`derived-rows.ts`).
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { assert } from '../env/errors.ts';
import { type Amount, amountOf, parseAmount, ZERO } from '../tokens/amount.ts';
import type { KnownHolding } from '../tokens/holding-changes.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import type { Known, KnownInstruction, UpdateEffects } from '../tokens/update-effects.ts';
import type { InstrumentBook } from './catalog.ts';
import {
  type InstrumentOf,
  type ReadUpdate,
  writeHoldings,
  writeInstructions,
  writeTransfers,
} from './derived-rows.ts';
import type { TransferChange, Treasury } from './effect-sink.ts';
import { homeSynchronizer } from './home-synchronizer.ts';
import type { ReceivedUpdate } from './received-update.ts';
import { contractsReferredTo, effectsOfUpdate, withoutSpent } from './update-reader.ts';

/** What is kept of a transfer so that a later update can continue it. */
type TransferState = Omit<
  TransferChange,
  | 'isNew'
  | 'updateId'
  | 'recordTime'
  | 'instrument'
  | 'holdingsDelta'
  | 'earlierHoldingsDelta'
  | 'signedHash'
  | 'inputs'
> & {
  readonly instrument: Instrument;
  readonly holdingsDelta: Amount;
};

export type DerivedBatch = {
  /** Reads one update and remembers its effects. @throws as effectsOfUpdate; nothing is remembered then. */
  read(update: ReceivedUpdate): UpdateEffects;
  /** Writes all remembered effects. @returns per update, in order, what it did to transfers. */
  write(tx: Transaction, instruments: InstrumentBook): Promise<readonly (readonly TransferChange[])[]>;
};

/** Loads what `updates` refer to of earlier ones. A handful of look-ups, whatever the size of the batch; fewer where it refers to nothing, as a deposit alone does. */
export async function openDerivedBatch(
  tx: Transaction,
  treasury: Treasury,
  updates: readonly ReceivedUpdate[],
): Promise<DerivedBatch> {
  const referenced = [...new Set(updates.flatMap(contractsReferredTo))];
  const home = await homeSynchronizer(tx, treasury.id);
  const spent = new Set<string>();
  const holdings = await loadHoldings(tx, treasury, referenced, spent);
  const instructions = await loadInstructions(tx, treasury, referenced, spent);
  const transfers = await loadTransfers(tx, [
    ...new Set([...instructions.values()].map(({ transferId }) => transferId)),
  ]);
  const known: Known = {
    holding: (contractId) => holdings.get(contractId),
    instruction: (contractId) => instructions.get(contractId),
  };
  const done: ReadUpdate[] = [];

  return {
    read: (update) => {
      const effects = effectsOfUpdate(withoutSpent(update, spent), treasury.party, home, known);
      for (const contractId of effects.holdingsArchived) spent.add(contractId);
      for (const { contractId } of effects.instructionsEnded) spent.add(contractId);
      for (const holding of effects.holdingsCreated) holdings.set(holding.contractId, holding);
      for (const { contractId, transferId, transfer } of effects.instructionsOpened) {
        instructions.set(contractId, { transferId, instrument: transfer.instrument });
      }
      done.push({ update, effects });
      return effects;
    },
    write: async (tx, instruments) => {
      const wanted = once(done.flatMap(({ effects }) => instrumentsOf(effects, transfers)));
      const instrumentOf = await instruments.resolve(tx, wanted);
      const changes = done.map((read) => changesOf(read, transfers, instrumentOf));
      await writeHoldings(tx, treasury, done, instrumentOf);
      await writeTransfers(tx, treasury, done, changes, instrumentOf);
      await writeInstructions(tx, treasury, done, instrumentOf);
      return changes.map(onePerTransfer);
    },
  };
}

/**
 * An update may move one transfer on several times (an offer made and accepted at once). What counts outside is what came of it: one change, booked
 * once and announced once.
 */
function onePerTransfer(changes: readonly TransferChange[]): readonly TransferChange[] {
  const byTransfer = new Map<string, TransferChange>();
  for (const change of changes) {
    const before = byTransfer.get(change.transferId);
    byTransfer.set(
      change.transferId,
      before === undefined
        ? change
        : { ...before, status: change.status, holdingsDelta: amountOf(before.holdingsDelta + change.holdingsDelta) },
    );
  }
  return [...byTransfer.values()];
}

function instrumentsOf(effects: UpdateEffects, transfers: ReadonlyMap<string, TransferState>): Instrument[] {
  return [
    ...effects.holdingsCreated.map((holding) => holding.instrument),
    ...effects.movements.map((movement) => movement.instrument),
    ...effects.instructionsOpened.map((opened) => opened.transfer.instrument),
    ...effects.progress.flatMap(({ transferId }) => transfers.get(transferId)?.instrument ?? []),
  ];
}

/** Few instruments, however many movements. */
function once(instruments: readonly Instrument[]): readonly Instrument[] {
  return [
    ...new Map(
      instruments.map((instrument) => [JSON.stringify([instrument.admin, instrument.id]), instrument]),
    ).values(),
  ];
}

/** The changes of one update in order; moves `transfers` on, so that the next update sees them. */
function changesOf(
  { update, effects }: ReadUpdate,
  transfers: Map<string, TransferState>,
  instrumentOf: InstrumentOf,
): TransferChange[] {
  const at = {
    updateId: update.updateId,
    recordTime: update.recordTime,
    signedHash: update.transaction?.externalTransactionHash ?? null,
    inputs: effects.holdingsArchived,
  };
  const started = effects.movements.map((movement) => {
    const { id: transferId, rank: _rank, transfer: _transfer, ...rest } = movement;
    transfers.set(transferId, { ...rest, transferId });
    return {
      ...rest,
      ...at,
      transferId,
      instrument: instrumentOf(rest.instrument),
      isNew: true,
      earlierHoldingsDelta: ZERO,
    };
  });
  const continued = effects.progress.map(({ transferId, status, holdingsDelta }) => {
    const before = transfers.get(transferId);
    assert(before !== undefined, 'An offer we know belongs to no transfer.', { transferId });
    transfers.set(transferId, { ...before, status, holdingsDelta: amountOf(before.holdingsDelta + holdingsDelta) });
    const instrument = instrumentOf(before.instrument);
    return {
      ...before,
      ...at,
      instrument,
      status,
      holdingsDelta,
      isNew: false,
      earlierHoldingsDelta: before.holdingsDelta,
    };
  });
  return [...started, ...continued];
}

async function loadHoldings(
  tx: Transaction,
  treasury: Treasury,
  contractIds: readonly string[],
  spent: Set<string>,
): Promise<Map<string, KnownHolding>> {
  if (contractIds.length === 0) return new Map();
  const { rows } = await sql<{ contractId: string; admin: string; id: string; amount: string; isSpent: boolean }>`
    SELECT h.contract_id AS "contractId", i.admin, i.instrument_id AS id, h.amount, h.archived_update_id IS NOT NULL AS "isSpent"
    FROM holding h JOIN instrument i ON i.id = h.instrument_id
    WHERE h.treasury_id = ${treasury.id} AND h.contract_id = ANY (${contractIds}::text[])`.execute(tx);
  for (const { contractId, isSpent } of rows) if (isSpent) spent.add(contractId);
  return new Map(
    rows.map(({ contractId, admin, id, amount }) => [
      contractId,
      { instrument: { admin, id }, amount: parseAmount(amount) },
    ]),
  );
}

async function loadInstructions(
  tx: Transaction,
  treasury: Treasury,
  contractIds: readonly string[],
  spent: Set<string>,
): Promise<Map<string, KnownInstruction>> {
  if (contractIds.length === 0) return new Map();
  const { rows } = await sql<{ contractId: string; transferId: string; admin: string; id: string; isSpent: boolean }>`
    SELECT t.contract_id AS "contractId", t.transfer_id AS "transferId", i.admin, i.instrument_id AS id,
      t.ended_update_id IS NOT NULL AS "isSpent"
    FROM transfer_instruction t JOIN instrument i ON i.id = t.instrument_id
    WHERE t.treasury_id = ${treasury.id} AND t.contract_id = ANY (${contractIds}::text[])`.execute(tx);
  for (const { contractId, isSpent } of rows) if (isSpent) spent.add(contractId);
  return new Map(
    rows.map(({ contractId, transferId, admin, id }) => [contractId, { transferId, instrument: { admin, id } }]),
  );
}

type TransferRow = Omit<TransferState, 'instrument' | 'amount' | 'holdingsDelta'> &
  Instrument & { readonly amount: string; readonly holdingsDelta: string };

async function loadTransfers(tx: Transaction, transferIds: readonly string[]): Promise<Map<string, TransferState>> {
  if (transferIds.length === 0) return new Map();
  const { rows } = await sql<TransferRow>`
    SELECT t.id AS "transferId", t.kind, t.direction, t.status, t.amount, t.holdings_delta AS "holdingsDelta",
           t.counterparty, t.memo, i.admin, i.instrument_id AS id
    FROM transfer t JOIN instrument i ON i.id = t.instrument_id
    WHERE t.id = ANY (${transferIds}::text[])`.execute(tx);
  return new Map(
    rows.map(({ admin, id, amount, holdingsDelta, ...row }) => [
      row.transferId,
      { ...row, instrument: { admin, id }, amount: parseAmount(amount), holdingsDelta: parseAmount(holdingsDelta) },
    ]),
  );
}
