/**
 * What somebody else needs to see for himself that a transfer happened: the update that decided it, which every party to it finds under the
 * same id and record time on a participant of its own, the standard's Transfer record, the contracts, and the bytes as they came.
 */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { restoreUpdate } from '../ingestion/received-update.ts';
import { readTransferLives, type TransferStep } from './transfer-life.ts';
import { readTransfers, type Transfer } from './transfers.ts';

export type ProofOfTransfer = {
  readonly transfer: Transfer;
  /** That the tokens have moved; false: what is shown is an offer, or its end without a move. */
  readonly isSettled: boolean;
  /** The one that decided it, or the newest there is; the first of `updates` is where it was first seen. */
  readonly updateId: string;
  readonly recordTime: Micros;
  readonly synchronizerId: string;
  readonly life: readonly TransferStep[];
  readonly updates: readonly ProofUpdate[];
};

export type ProofUpdate = {
  readonly updateId: string;
  readonly recordTime: Micros;
  readonly synchronizerId: string;
  readonly effectiveAt: Micros | null;
  /** The participant's message, as received. */
  readonly bytes: Uint8Array;
  readonly sha256: Uint8Array;
  /** What an external party signed, as the ledger tells; null: it tells none. */
  readonly externalTransactionHash: Uint8Array | null;
  /** Holdings of the treasury party that it made, and that it spent. */
  readonly createdHoldings: readonly string[];
  readonly archivedHoldings: readonly string[];
};

/** Null: there is no such transfer, or its updates are not here (an opening balance, which nothing proves). */
export async function readProofOfTransfer(db: Database, transferId: string): Promise<ProofOfTransfer | null> {
  const [transfer = null] = await readTransfers(db, [transferId]);
  if (transfer === null) return null;
  const [life, updates] = await Promise.all([readTransferLives(db, [transferId]), readUpdates(db, transferId)]);
  const deciding = updates.at(-1);
  if (deciding === undefined) return null;
  const { updateId, recordTime, synchronizerId } = deciding;
  return { transfer, isSettled: transfer.status === 'COMPLETED', updateId, recordTime, synchronizerId, life, updates };
}

type UpdateRow = Omit<ProofUpdate, 'bytes' | 'sha256' | 'externalTransactionHash'> & { readonly received: Buffer };

/** In the ledger's order. */
async function readUpdates(db: Database, transferId: string): Promise<readonly ProofUpdate[]> {
  const { rows } = await sql<UpdateRow>`
    SELECT u.update_id AS "updateId", u.record_time AS "recordTime", u.synchronizer_id AS "synchronizerId", u.effective_at AS "effectiveAt",
      u.received,
      ARRAY(SELECT h.contract_id FROM holding AS h WHERE h.treasury_id = u.treasury_id AND h.created_update_id = u.update_id
        AND h.created_record_time = u.record_time ORDER BY 1) AS "createdHoldings",
      ARRAY(SELECT h.contract_id FROM holding AS h WHERE h.treasury_id = u.treasury_id AND h.archived_update_id = u.update_id
        AND h.archived_record_time = u.record_time ORDER BY 1) AS "archivedHoldings"
    FROM transfer AS t
    JOIN ledger_update AS u ON u.treasury_id = t.treasury_id AND u.update_id IN (t.update_id, t.concluded_update_id)
    WHERE t.id = ${transferId}
    ORDER BY u.record_time, u.epoch, u.ledger_offset
  `.execute(db);
  return rows.map(({ received, ...known }) => {
    const { bytes, transaction } = restoreUpdate(received);
    const hash = transaction?.externalTransactionHash;
    return {
      ...known,
      bytes,
      sha256: createHash('sha256').update(bytes).digest(),
      externalTransactionHash: hash === undefined || hash.length === 0 ? null : hash,
    };
  });
}

/** The proof as a document of its own, for those who are not clients: JSON with the parts under the ledger's names. */
export function printProof({ transfer, life, updates, ...proof }: ProofOfTransfer, format: (time: Micros) => string) {
  const { treasury, instrument, transferObject } = transfer;
  return {
    version: 1,
    network: treasury.network,
    transferId: transfer.id,
    status: transfer.status,
    isSettled: proof.isSettled,
    updateId: proof.updateId,
    recordTime: format(proof.recordTime),
    synchronizerId: proof.synchronizerId,
    seenBy: treasury.party,
    direction: transfer.direction,
    counterparty: transfer.counterparty,
    instrument: { admin: instrument.admin, id: instrument.instrumentId },
    amount: transfer.amount,
    transfer: transferObject,
    life: life.map(({ kind, updateId, recordTime, contractId }) => ({
      kind,
      updateId,
      recordTime: format(recordTime),
      contractId,
    })),
    updates: updates.map((update) => ({
      updateId: update.updateId,
      recordTime: format(update.recordTime),
      synchronizerId: update.synchronizerId,
      effectiveAt: update.effectiveAt === null ? null : format(update.effectiveAt),
      externalTransactionHash:
        update.externalTransactionHash === null ? null : Buffer.from(update.externalTransactionHash).toString('hex'),
      createdHoldings: update.createdHoldings,
      archivedHoldings: update.archivedHoldings,
      sha256: Buffer.from(update.sha256).toString('hex'),
      received: Buffer.from(update.bytes).toString('base64'),
    })),
  };
}
