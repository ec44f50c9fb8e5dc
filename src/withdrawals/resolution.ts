/**
 * What two people make of a withdrawal that nobody can read: one whose attempt or offer ended unseen, or one that waits for ever because the ledger shows a payment from before a restore. One asks with evidence,
 * another one agrees; then it ends, its bookings follow, and what was reserved is free, all in one transaction. Until then the ledger's own word goes first: if it comes, the resolution is outdated.
 */
import { sql } from 'kysely';
import { houseAccount, postEntries } from '../books/journal.ts';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { personOf } from '../env/person.ts';
import { endByWord, IS_PAST, settleAttempt } from '../submissions/attempts.ts';
import { parseAmount } from '../tokens/amount.ts';
import { ControlRefusal, demandKept } from './control-refusal.ts';
import { isPaidBefore } from './earlier-payment.ts';
import { announceResolution } from './resolution-announcement.ts';
import { findPayment, type Payment, type Resolvable } from './resolution-payment.ts';
import type { Resolution } from './withdrawal-state.ts';
import { applyWithdrawalEvent } from './withdrawal-store.ts';

export type ResolutionWish = {
  readonly withdrawalId: string;
  readonly outcome: Resolution;
  /** What was looked at, for those who come after; 1 to 4000 bytes. */
  readonly evidence: string;
  /** Where it was paid; null: nobody knows. */
  readonly updateId: string | null;
  readonly by: string;
  readonly nowMicros: Micros;
};

export type ResolutionJudgement = {
  readonly resolutionId: bigint;
  readonly reason: string;
  readonly by: string;
  readonly nowMicros: Micros;
};

const EVIDENCE_BYTES_MAX = 4_000;
const BIGINT_MAX = 2n ** 63n - 1n;

/** Asks for an end. @returns the resolution, which waits for somebody else; asked again with the same words by the same person it is the same. @throws ControlRefusal: nothing was changed. */
export async function askResolution(db: Database, wish: ResolutionWish): Promise<bigint> {
  demandKept(wish.evidence, EVIDENCE_BYTES_MAX);
  return await db.transaction().execute(async (tx) => {
    const found = await lockResolvable(tx, wish.withdrawalId);
    const pending = await tx
      .selectFrom('withdrawal_resolution')
      .selectAll()
      .where('withdrawal_id', '=', wish.withdrawalId)
      .where('state', '=', 'AWAITING_APPROVAL')
      .executeTakeFirst();
    if (pending !== undefined) {
      const isSame =
        pending.outcome === wish.outcome &&
        pending.evidence === wish.evidence &&
        pending.update_id === wish.updateId &&
        pending.requested_by === wish.by;
      if (isSame) return pending.id;
      throw new ControlRefusal('RESOLUTION_PENDING');
    }
    await demandPossible(tx, found, wish);
    const { id } = await tx
      .insertInto('withdrawal_resolution')
      .values({
        withdrawal_id: wish.withdrawalId,
        outcome: wish.outcome,
        evidence: wish.evidence,
        update_id: wish.updateId,
        state: 'AWAITING_APPROVAL',
        state_before: found.state,
        requested_by: wish.by,
        requested_at: wish.nowMicros,
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    await announceResolution(tx, id, wish.nowMicros);
    return id;
  });
}

/** Somebody else agrees, and it ends. @throws ControlRefusal: nothing was changed. */
export async function approveResolution(db: Database, judgement: ResolutionJudgement): Promise<void> {
  await judge(db, judgement, 'DONE');
}

/** Somebody, also the one who asked, says no: it is open for another wish. @throws ControlRefusal. */
export async function refuseResolution(db: Database, judgement: ResolutionJudgement): Promise<void> {
  await judge(db, judgement, 'REFUSED');
}

async function judge(db: Database, judgement: ResolutionJudgement, verdict: 'DONE' | 'REFUSED'): Promise<void> {
  const { resolutionId, reason, by, nowMicros } = judgement;
  demandKept(reason);
  if (resolutionId < 1n || resolutionId > BIGINT_MAX) throw new ControlRefusal('RESOLUTION_UNKNOWN');
  await db.transaction().execute(async (tx) => {
    const named = await tx
      .selectFrom('withdrawal_resolution')
      .select('withdrawal_id')
      .where('id', '=', resolutionId)
      .executeTakeFirst();
    if (named === undefined) throw new ControlRefusal('RESOLUTION_UNKNOWN');
    // The withdrawal before what is said of it, as whoever works on it locks them.
    await tx.selectFrom('withdrawal').select('id').where('id', '=', named.withdrawal_id).forUpdate().execute();
    const row = await tx
      .selectFrom('withdrawal_resolution')
      .selectAll()
      .where('id', '=', resolutionId)
      .forUpdate()
      .executeTakeFirstOrThrow();
    if (row.state === verdict && row.decided_by === by) return;
    if (row.state !== 'AWAITING_APPROVAL') throw new ControlRefusal('RESOLUTION_UNKNOWN');
    if (verdict === 'DONE' && personOf(row.requested_by) === personOf(by)) throw new ControlRefusal('SAME_PERSON');
    if (verdict === 'DONE') {
      const found = await lockResolvable(tx, row.withdrawal_id).catch((error: unknown) => {
        throw error instanceof ControlRefusal ? new ControlRefusal('RESOLUTION_OUTDATED') : error;
      });
      if (found.state !== row.state_before) throw new ControlRefusal('RESOLUTION_OUTDATED');
      const payment = await demandPossible(tx, found, { outcome: row.outcome, updateId: row.update_id });
      await end(tx, found, { outcome: row.outcome, updateId: row.update_id, payment, nowMicros });
    }
    await tx
      .updateTable('withdrawal_resolution')
      .set({ state: verdict, decided_by: by, decided_at: nowMicros, decided_reason: reason })
      .where('id', '=', resolutionId)
      .execute();
    await announceResolution(tx, resolutionId, nowMicros);
  });
}

/** @throws ControlRefusal where nothing of it is for people to decide, or the ledger could still pay it. */
async function lockResolvable(tx: Transaction, id: string): Promise<Resolvable> {
  const { rows } = await sql<Omit<Resolvable, 'state' | 'attempt'> & { state: string; isPaidBefore: boolean }>`
    SELECT w.id, w.state, w.network_id AS "networkId", w.treasury_id AS "treasuryId", w.instrument_id AS "instrumentKey", w.receiver,
      w.amount::text AS amount, w.transfer_id AS "transferId", ${isPaidBefore(sql`ARRAY[w.id]`)} AS "isPaidBefore"
    FROM withdrawal w WHERE w.id = ${id} FOR UPDATE OF w`.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new ControlRefusal('WITHDRAWAL_UNKNOWN');
  const { state, isPaidBefore: wasPaid, ...rest } = row;
  const isWaiting = state === 'QUEUED' || state === 'AWAITING_APPROVAL';
  if (state !== 'UNRESOLVED' && !(isWaiting && wasPaid)) throw new ControlRefusal('NOT_RESOLVABLE');
  const { rows: attempts } = await sql<{ submissionId: string; number: number; isPast: boolean }>`
    SELECT a.submission_id AS "submissionId", a.number::int AS number, ${IS_PAST} AS "isPast"
    FROM attempt a JOIN submission s ON s.id = a.submission_id
    WHERE s.withdrawal_id = ${id} AND a.state = 'OPEN' FOR UPDATE OF a`.execute(tx);
  const [attempt = null] = attempts;
  if (attempt !== null && !attempt.isPast) throw new ControlRefusal('NOT_YET_DEAD');
  return { ...rest, state, attempt };
}

/** @returns the transfer that paid it, where the database has one. @throws ControlRefusal. */
async function demandPossible(
  tx: Transaction,
  found: Resolvable,
  { outcome, updateId }: { readonly outcome: Resolution; readonly updateId: string | null },
): Promise<Payment | null> {
  const wasOffered = found.transferId !== null;
  if (outcome === 'RETURNED' && !wasOffered) throw new ControlRefusal('OUTCOME_IMPOSSIBLE');
  if (outcome === 'FAILED' && wasOffered) throw new ControlRefusal('OUTCOME_IMPOSSIBLE');
  return outcome === 'COMPLETED' ? await findPayment(tx, found, updateId) : null;
}

async function end(
  tx: Transaction,
  found: Resolvable,
  decided: {
    readonly outcome: Resolution;
    readonly updateId: string | null;
    readonly payment: Payment | null;
    readonly nowMicros: Micros;
  },
): Promise<void> {
  const { outcome, updateId, payment, nowMicros } = decided;
  const transition = await applyWithdrawalEvent(
    tx,
    found.id,
    { kind: 'RESOLVED_BY_OPERATOR', as: outcome },
    {
      nowMicros,
      ...(payment && { evidence: payment }),
      ...(outcome === 'FAILED' && {
        failure: { code: 'RESOLVED_UNPAID', detail: 'Two people decided, with evidence, that it was not paid.' },
      }),
    },
  );
  if (transition.kind === 'ALARM') throw new ControlRefusal('OUTCOME_IMPOSSIBLE');
  if (payment === null && updateId !== null) {
    await tx.updateTable('withdrawal').set({ update_id: updateId }).where('id', '=', found.id).execute();
  }
  if (found.attempt !== null) {
    if (outcome === 'FAILED') await endByWord(tx, found.attempt, nowMicros);
    else await settleAttempt(tx, found.attempt, nowMicros);
  }
  if (outcome !== 'COMPLETED') return;
  // As the sink books what it sees: what left the treasury was unexplained until now.
  await postEntries(tx, found.networkId, [
    {
      cause: `withdrawal:${found.id}:paid`,
      description: 'withdrawal paid, as two people decided',
      recordTime: payment?.recordTime ?? nowMicros,
      lines: [
        {
          debit: houseAccount('WITHDRAWALS'),
          credit: houseAccount('UNEXPLAINED'),
          instrumentKey: found.instrumentKey,
          amount: parseAmount(found.amount),
        },
      ],
    },
  ]);
}
