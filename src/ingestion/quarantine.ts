/**
 * Quarantine: updates that are stored and whose effects could not be told, or booked. The position moves on, the bytes wait for a version that can read them (`reparse.ts`).
 *
 * What such an update did to our holdings is not in the tables, so what it touched stands still until then: one instrument of the treasury where that can be told, else the treasury. Anybody can
 * make a participant show us contracts; what touches no holding of an instrument that we pay out freezes nothing (docs/decisions/0003-what-a-quarantine-freezes.md).
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { PermanentError } from '../env/errors.ts';
import type { CreatedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import { GetUpdatesResponse } from '../gen/com/daml/ledger/api/v2/update_service.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { DecodeError } from '../tokens/value.ts';
import { holdingView, instructionView, isSignedByAdmin } from '../tokens/views.ts';
import type { TransferChange, Treasury } from './effect-sink.ts';
import { isPaidOut, openFreeze } from './freezes.ts';
import type { ReceivedUpdate } from './received-update.ts';

export type Refused = {
  readonly update: ReceivedUpdate;
  readonly error: PermanentError;
  /** What it did to transfers, where that much is known: its rows are written, and only the sinks could not follow. Null: nothing of it is in the tables. */
  readonly changes: readonly TransferChange[] | null;
};

/** Which of a treasury's holdings an update created or consumed. */
export type Touched =
  /** By the database's numbers of the instruments; none: it touched no holding of ours. */
  | { readonly kind: 'INSTRUMENTS'; readonly keys: readonly number[] }
  /** A contract that the party itself signed cannot be read: it may be any holding. */
  | { readonly kind: 'UNKNOWN' };

/** Stores why, and freezes what was touched; in the transaction that moves the position past the updates. */
export async function quarantine(
  tx: Transaction,
  treasury: Treasury,
  refused: readonly Refused[],
  nowMicros: Micros,
): Promise<void> {
  if (refused.length === 0) return;
  await tx
    .insertInto('quarantine')
    .values(
      refused.map(({ update: { updateId }, error: { code, message } }) => ({
        treasury_id: treasury.id,
        update_id: updateId,
        reason: code,
        detail: message,
        quarantined_at: nowMicros,
      })),
    )
    .execute();
  for (const one of refused) await freezeTouched(tx, treasury, one, nowMicros);
}

async function freezeTouched(tx: Transaction, treasury: Treasury, refused: Refused, nowMicros: Micros): Promise<void> {
  const touched = refused.changes === null ? await touchedBy(tx, treasury, refused.update) : movedBy(refused.changes);
  const { updateId } = refused.update;
  const scopes = touched.kind === 'UNKNOWN' ? [null] : await paidOut(tx, treasury, touched.keys);
  for (const instrumentKey of scopes) {
    await openFreeze(tx, {
      treasuryId: treasury.id,
      instrumentKey,
      reason: 'QUARANTINE',
      detail: `Update ${updateId} touched holdings and could not be ${refused.changes === null ? 'read' : 'booked'}. ${refused.error.code}: ${refused.error.message}`,
      cause: `update:${updateId}`,
      openedBy: 'ingestion',
      nowMicros,
    });
  }
}

function movedBy(changes: readonly TransferChange[]): Touched {
  const moved = changes.filter(
    ({ holdingsDelta, earlierHoldingsDelta }) => holdingsDelta !== 0n || earlierHoldingsDelta !== 0n,
  );
  return { kind: 'INSTRUMENTS', keys: [...new Set(moved.map(({ instrument }) => instrument.key))] };
}

/** Of `keys` those that leave the treasury. */
async function paidOut(tx: Transaction, treasury: Treasury, keys: readonly number[]): Promise<readonly number[]> {
  if (keys.length === 0) return [];
  const { rows } = await sql<{ key: number }>`
    SELECT touched.key FROM unnest(${[...keys]}::int[]) AS touched (key)
    WHERE ${isPaidOut(sql`${treasury.id}::int`, sql`touched.key`)} ORDER BY 1`.execute(tx);
  return rows.map(({ key }) => key);
}

/** What an update touched of which no row was written. Reads contracts one by one, so that one that cannot be read hides no other. */
export async function touchedBy(tx: Transaction, treasury: Treasury, update: ReceivedUpdate): Promise<Touched> {
  const { created, consumed } = contractsOf(update);
  const instruments: Instrument[] = [];
  for (const event of created) {
    try {
      // An offer that cannot be read may have taken holdings along; what it consumed is found by their ids.
      instructionView(event);
      const view = holdingView(event);
      if (view !== undefined && view.owner === treasury.party && isSignedByAdmin(event, view.instrument)) {
        instruments.push(view.instrument);
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (event.signatories.includes(treasury.party)) return { kind: 'UNKNOWN' };
    }
  }
  const { rows } = await sql<{ key: number }>`
    SELECT instrument_id AS key FROM holding WHERE treasury_id = ${treasury.id} AND contract_id = ANY (${consumed}::text[])
    UNION
    SELECT id FROM instrument WHERE network_id = ${treasury.networkId} AND (admin, instrument_id) IN (
      SELECT * FROM unnest(${instruments.map(({ admin }) => admin)}::text[], ${instruments.map(({ id }) => id)}::text[])
    )`.execute(tx);
  return { kind: 'INSTRUMENTS', keys: rows.map(({ key }) => key) };
}

/** The contracts that an update created and consumed, or brought here and took away. */
export function contractsOf({ bytes }: ReceivedUpdate): {
  readonly created: readonly CreatedEvent[];
  readonly consumed: readonly string[];
} {
  const { update } = GetUpdatesResponse.decode(bytes);
  const created: CreatedEvent[] = [];
  const consumed: string[] = [];
  if (update?.$case === 'transaction') {
    for (const { event } of update.value.events) {
      if (event?.$case === 'created') created.push(event.value);
      if (event?.$case === 'exercised' && event.value.consuming) consumed.push(event.value.contractId);
      if (event?.$case === 'archived') consumed.push(event.value.contractId);
    }
  }
  if (update?.$case === 'reassignment') {
    for (const { event } of update.value.events) {
      if (event?.$case === 'assigned' && event.value.createdEvent !== undefined) created.push(event.value.createdEvent);
      if (event?.$case === 'unassigned') consumed.push(event.value.contractId);
    }
  }
  return { created, consumed };
}
