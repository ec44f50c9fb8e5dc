/**
 * What ingestion tells others. Deposits and books implement an EffectSink, `main` wires them. Sinks run inside the transaction that stores the
 * updates and moves the position, so what they write is exactly as committed as the position itself.
 */
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Amount } from '../tokens/amount.ts';
import type { Direction, FinalStatus, TransferKind } from '../tokens/movement.ts';
import type { Instrument } from '../tokens/transfer-record.ts';

/** A treasury party, as the configuration names it and the database numbers it. */
export type Treasury = {
  readonly id: number;
  readonly party: string;
  readonly name: string;
  readonly networkId: number;
  readonly network: string;
};

/** One instrument of the network: `key` is the database's number. */
export type KnownInstrument = Instrument & { readonly key: number; readonly isAccepted: boolean };

/** What one update did to one transfer. */
export type TransferChange = {
  readonly transferId: string;
  readonly kind: TransferKind;
  readonly direction: Direction;
  readonly instrument: KnownInstrument;
  /** The economic amount, never negative. */
  readonly amount: Amount;
  readonly counterparty: string | null;
  readonly memo: string | null;
  /** Whether this update is the first to show the transfer. */
  readonly isNew: boolean;
  readonly status: 'PENDING' | FinalStatus;
  /** What the treasury's holdings gained by it in this update … */
  readonly holdingsDelta: Amount;
  /** … and in earlier ones. */
  readonly earlierHoldingsDelta: Amount;
  readonly updateId: string;
  readonly recordTime: Micros;
  /** The hash that was signed for the update's transaction, where the participant tells it. */
  readonly signedHash: Uint8Array | null;
  /** Contract ids of the treasury's holdings that the update consumed. */
  readonly inputs: readonly string[];
};

export type EffectSink = {
  readonly name: string;
  /**
   * Writes what follows from `changes`, which are in ledger order and all of one treasury. Called once per batch; called again per update, after
   * a rollback, when that failed. An error that is not retryable quarantines the update: its holdings stand, what the sinks wrote is undone.
   */
  apply(tx: Transaction, treasury: Treasury, changes: readonly TransferChange[]): Promise<void>;
  /** Instead of `apply`, for an update that some sink refused: writes the little that must hold even so, until the update is read again. Must not fail. */
  suspend?(tx: Transaction, treasury: Treasury, changes: readonly TransferChange[]): Promise<void>;
};
