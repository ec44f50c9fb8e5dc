/**
 * The way on for a stream that halted because a part of history is gone for good: pruned below our position, lost in a fork, or left behind by a migration to a new
 * participant. An operator decides it, nothing does it by itself. What is active where reading can go on is compared with what we hold; what is new there is taken
 * over as opening balance, what is gone is booked as unexplained, and both are written down as a gap, with a freeze of the treasury's money until somebody has looked.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { type ActiveContracts, readActiveContracts } from './active-contracts.ts';
import type { JoiningBatchWriter } from './batch-writer.ts';
import type { Treasury } from './effect-sink.ts';
import { startEpoch } from './epochs.ts';
import { openFreeze } from './freezes.ts';
import { hasTakenOver, newestUpdates } from './known-updates.ts';
import { IMPORT_RECORD_TIME } from './next-position.ts';
import type { Position } from './position.ts';
import { readUpdate, receive } from './received-update.ts';
import { recordTimeOf } from './record-time-of-node.ts';
import { snapshotUpdates, vanishedUpdate } from './snapshot.ts';
import { updateFormatFor } from './update-format.ts';

export type RecoveryPlan = {
  readonly participantId: string;
  readonly prunedUpTo: bigint;
  /** Where reading goes on, exclusive: as early as this participant allows without telling us again what we know otherwise. */
  readonly offset: bigint;
  /** Contract ids of our holdings and open offers that are not active there. */
  readonly vanished: readonly string[];
  /** Contract ids of holdings that are active there and unknown to us. */
  readonly appeared: readonly string[];
  /** Contract ids of holdings and offers that are active there and that we saw end: their end was taken back. */
  readonly revived: readonly string[];
  readonly newest: { readonly updateId: string; readonly recordTime: Micros } | null;
  /** Whether this participant has that one, so that it lacks nothing of ours. */
  readonly hasNewest: boolean;
  /** How far the synchronizer is that the treasury lives on: as we know it, and, where that must be asked, as this participant does. */
  readonly recordTime: { readonly ours: Micros; readonly node: Micros | null };
  /** The stream as it was when the plan was made. */
  readonly stream: {
    readonly status: 'STARTING' | 'RUNNING' | 'HALTED';
    readonly participantId: string | null;
    readonly epoch: number;
    readonly offset: bigint;
  };
  readonly active: ActiveContracts;
};

type PlanOptions = {
  readonly db: Database;
  readonly ledger: Ledger;
  readonly treasury: Treasury;
  readonly clock: Clock;
  /** How long the participant may be silent before its imports count as read. */
  readonly listenMs: number;
  readonly signal: AbortSignal;
};

/** Updates of ours that are looked for on the participant, newest first. */
const LOOKED_FOR = 50;

/**
 * What a recovery would do; changes nothing, and says also what `requireRecoverable` then refuses.
 * @throws PermanentError NOTHING_TO_RECOVER where there is no history of ours to go on from; SECOND_SYNCHRONIZER; others of the calls.
 */
export async function planRecovery(options: PlanOptions): Promise<RecoveryPlan> {
  const { db, ledger, treasury, listenMs } = options;
  const [home] = await homeOf(db, treasury);
  if (home === undefined) throw new PermanentError('NOTHING_TO_RECOVER', 'This treasury has no history yet.');
  const stream = await streamOf(db, treasury);
  const participantId = await ledger.participantId();
  const prunedUpTo = await ledger.prunedUpTo();
  const [newest] = await newestUpdates(db, treasury, 1, { sinceGap: false });
  const ours = await timePassed(db, treasury, home, newest?.recordTime ?? IMPORT_RECORD_TIME);
  const { offset, updateId } = await placeToGoOnFrom(options, stream, { participantId, prunedUpTo });
  const hasNewest = newest !== undefined && newest.updateId === updateId;
  const node = hasNewest ? null : await recordTimeOf(options, home, listenMs);
  const active = await readActiveContracts(options, offset);
  const believed = await activeContractIds(db, treasury);
  const known = new Set(await knownAmong(db, treasury, active.holdings));
  return {
    participantId,
    prunedUpTo,
    offset,
    vanished: believed.filter((contractId) => !active.createdAt.has(contractId)),
    appeared: active.holdings.filter((contractId) => !known.has(contractId)),
    revived: await endedAmong(db, treasury, [...active.createdAt.keys()]),
    newest: newest === undefined ? null : { updateId: newest.updateId, recordTime: newest.recordTime },
    hasNewest,
    recordTime: { ours, node },
    stream,
    active,
  };
}

/**
 * @throws PermanentError NOT_HALTED: the stream goes on by itself, or may; PARTICIPANT_BEHIND: what is missing there may still come, and would be counted twice;
 * SPENDS_TAKEN_BACK: what we saw spent is there again, and our balances cannot say so.
 */
export function requireRecoverable({ stream, hasNewest, recordTime, revived }: RecoveryPlan): void {
  if (stream.status !== 'HALTED') {
    throw new PermanentError('NOT_HALTED', 'Only a stream that is halted is recovered. Start its worker first.', {
      status: stream.status,
    });
  }
  if (!hasNewest && (recordTime.node === null || recordTime.node <= recordTime.ours)) {
    throw new PermanentError('PARTICIPANT_BEHIND', 'The participant is not past what we know: wait until it is.', {
      recordTime: recordTime.ours,
      nodeRecordTime: recordTime.node,
    });
  }
  if (revived.length > 0) {
    throw new PermanentError(
      'SPENDS_TAKEN_BACK',
      `${revived.length} contracts that we saw end are active there: a fork took their end back. Going on needs a new database, opened at this participant.`,
      { contractIds: revived.slice(0, 3) },
    );
  }
}

/**
 * Does what was planned, in one transaction.
 * @param position claimed: no worker may hold the stream. @returns the position from which a worker reads on.
 * @throws PermanentError of `requireRecoverable`, and PLAN_OUTDATED when the stream moved since. RetryableError STREAM_TAKEN_OVER.
 */
export async function recover(
  {
    db,
    treasury,
    writer,
    clock,
    by,
    why,
  }: {
    readonly db: Database;
    readonly treasury: Treasury;
    readonly writer: JoiningBatchWriter;
    readonly clock: Clock;
    readonly by: string;
    readonly why: string;
  },
  position: Position,
  plan: RecoveryPlan,
): Promise<Position> {
  requireRecoverable(plan);
  const { participantId, offset, vanished, appeared, newest, active, prunedUpTo, stream } = plan;
  if (position.epoch !== stream.epoch || position.offset !== stream.offset) {
    throw new PermanentError('PLAN_OUTDATED', 'The stream moved since the plan was made. Make a new one.', {
      planned: stream,
      epoch: position.epoch,
      offset: position.offset,
    });
  }
  const scope = `${treasury.party}:${position.epoch + 1}`;
  const [home] = await homeOf(db, treasury);
  if (home === undefined) throw new PermanentError('NOTHING_TO_RECOVER', 'This treasury has no history yet.');
  const passed = position.recordTimes.get(home) ?? newest?.recordTime ?? IMPORT_RECORD_TIME;
  const creates = snapshotUpdates(treasury, active, offset, scope);
  const before = (creates[0]?.offset ?? offset + 1n) - 1n;
  const ends =
    vanished.length === 0
      ? []
      : [
          vanishedUpdate(treasury, {
            contractIds: vanished,
            synchronizerId: home,
            recordTime: passed,
            offset: before,
            scope,
          }),
        ];
  const written = [...ends, ...creates];

  return db.transaction().execute(async (tx) => {
    const started = await startEpoch(tx, treasury, position, {
      reason: 'RECOVERED',
      participantId,
      anchor: null,
      // Updates stand above the position that they are written at, the last of them at `offset`.
      resumedOffset: written.length === 0 ? offset : before - 1n,
      verified: null,
      detail: why,
      startedAt: clock.nowMicros(),
    });
    const next = await writer.writeIn(tx, written, started);
    await tx
      .updateTable('stream_epoch')
      .set({ resumed_offset: offset })
      .where('treasury_id', '=', treasury.id)
      .where('epoch', '=', next.epoch)
      .execute();
    await tx
      .insertInto('history_gap')
      .values({
        treasury_id: treasury.id,
        epoch: next.epoch,
        after_update_id: newest?.updateId ?? null,
        after_record_time: newest?.recordTime ?? null,
        position_offset: position.offset,
        pruned_offset: prunedUpTo,
        resumed_offset: offset,
        contracts_vanished: vanished.length,
        contracts_appeared: appeared.length,
        recorded_by: by,
        recorded_at: clock.nowMicros(),
      })
      .execute();
    await openFreeze(tx, {
      treasuryId: treasury.id,
      instrumentKey: null,
      reason: 'HISTORY_GAP',
      detail: `History was lost and the stream goes on behind it: ${vanished.length} contracts of ours are gone, ${appeared.length} holdings are new. ${why}`,
      cause: `epoch:${next.epoch}`,
      openedBy: by,
      nowMicros: clock.nowMicros(),
    });
    return next;
  });
}

/** Behind the newest update of ours that the participant has at all, which is then named, else behind the imports that it begins with. */
async function placeToGoOnFrom(
  options: PlanOptions,
  stream: RecoveryPlan['stream'],
  { participantId, prunedUpTo }: { readonly participantId: string; readonly prunedUpTo: bigint },
): Promise<{ readonly offset: bigint; readonly updateId: string | null }> {
  const { db, ledger, treasury } = options;
  const ours = await newestUpdates(db, treasury, LOOKED_FOR);
  for (const { updateId } of ours) {
    const found = await ledger.updateById(updateId, updateFormatFor(treasury.party));
    if (found !== null) return { offset: readUpdate(found).offset, updateId };
  }
  // Where nothing was received since a contract set was taken over, only the participant it came from tells by its numbers what is in it already.
  const isBehindUs = stream.participantId === participantId && prunedUpTo >= stream.offset;
  if (ours.length === 0 && !isBehindUs && (await hasTakenOver(db, treasury))) {
    return { offset: (await ledger.ledgerEnd()).offset, updateId: null };
  }
  return { offset: await offsetAfterImports(options, prunedUpTo), updateId: null };
}

/** A participant that a migration made begins with imports: what they bring is the contract set, and reading goes on behind them. */
async function offsetAfterImports(options: PlanOptions, prunedUpTo: bigint): Promise<bigint> {
  const { ledger, treasury, clock, listenMs, signal } = options;
  let offset = prunedUpTo;
  const over = new AbortController();
  const reading = AbortSignal.any([signal, over.signal]);
  void clock.sleep(listenMs, reading).then(() => over.abort());
  try {
    const format = updateFormatFor(treasury.party);
    for await (const message of ledger.updates({ beginExclusive: prunedUpTo, format, signal: reading })) {
      const item = receive(message);
      if (item.kind === 'CHECKPOINT' || item.recordTime !== IMPORT_RECORD_TIME) break;
      offset = item.offset;
    }
  } finally {
    over.abort();
  }
  return offset;
}

async function activeContractIds(db: Database, treasury: Treasury): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT contract_id AS id FROM holding WHERE treasury_id = ${treasury.id} AND archived_update_id IS NULL
    UNION ALL
    SELECT contract_id FROM transfer_instruction WHERE treasury_id = ${treasury.id} AND ended_update_id IS NULL
    ORDER BY id`.execute(db);
  return rows.map(({ id }) => id);
}

async function knownAmong(
  db: Database,
  treasury: Treasury,
  contractIds: readonly string[],
): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT contract_id AS id FROM holding WHERE treasury_id = ${treasury.id} AND contract_id = ANY (${contractIds}::text[])`.execute(
    db,
  );
  return rows.map(({ id }) => id);
}

/** Of contracts active there, those that ended as far as we know: as holdings or as offers. */
async function endedAmong(
  db: Database,
  treasury: Treasury,
  contractIds: readonly string[],
): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT contract_id AS id FROM holding
    WHERE treasury_id = ${treasury.id} AND archived_update_id IS NOT NULL AND contract_id = ANY (${contractIds}::text[])
    UNION ALL
    SELECT contract_id FROM transfer_instruction
    WHERE treasury_id = ${treasury.id} AND ended_update_id IS NOT NULL AND contract_id = ANY (${contractIds}::text[])
    ORDER BY id`.execute(db);
  return rows.map(({ id }) => id);
}

async function streamOf(db: Database, treasury: Treasury): Promise<RecoveryPlan['stream']> {
  return db
    .selectFrom('ingestion_stream')
    .select(['status', 'participant_id as participantId', 'epoch', 'ledger_offset as offset'])
    .where('treasury_id', '=', treasury.id)
    .executeTakeFirstOrThrow();
}

/** What was taken over carries no record time; what passed the synchronizer since may. */
async function timePassed(db: Database, treasury: Treasury, home: string, newest: Micros): Promise<Micros> {
  const row = await db
    .selectFrom('synchronizer_time')
    .select('record_time')
    .where('treasury_id', '=', treasury.id)
    .where('synchronizer_id', '=', home)
    .executeTakeFirst();
  return row !== undefined && row.record_time > newest ? row.record_time : newest;
}

async function homeOf(db: Database, treasury: Treasury): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT synchronizer_id AS id FROM ledger_update WHERE treasury_id = ${treasury.id} ORDER BY epoch, ledger_offset LIMIT 1`.execute(
    db,
  );
  return rows.map(({ id }) => id);
}
