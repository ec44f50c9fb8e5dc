/**
 * The one place where a withdrawal changes state. Every change goes through the state machine under the row's lock, and whatever belongs to the change (the event, the booking back of what
 * will not be paid) is written with it.
 */
import { sql } from 'kysely';
import { type AccountRef, houseAccount, type JournalEntry, postEntries } from '../books/journal.ts';
import type { Transaction } from '../db/connection.ts';
import { demandNotRestoring } from '../db/database-restore.ts';
import { appendEvents, type EventDraft } from '../db/event-log.ts';
import { relationOf } from '../db/row-arrays.ts';
import type { Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { amountOf, parseAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import { isPaidBefore } from './earlier-payment.ts';
import { readReturnFee } from './offers/return-fee.ts';
import { WITHDRAWAL_CHANGED, type WithdrawalChanged } from './withdrawal-events.ts';
import { isFinal, nextState, type Transition, type WithdrawalEvent, type WithdrawalState } from './withdrawal-state.ts';

export type ChangeFacts = {
  readonly nowMicros: Micros;
  readonly failure?: { readonly code: string; readonly detail: string };
  /** Why nobody can read how it ended. */
  readonly doubt?: { readonly code: string; readonly detail: string };
  readonly evidence?: { readonly transferId: string; readonly updateId: string };
};

/** What happened to one withdrawal. */
export type Change = { readonly withdrawalId: string; readonly event: WithdrawalEvent; readonly facts: ChangeFacts };

/**
 * Applies `event` to a withdrawal.
 * @returns what the state machine said. `ALARM`: nothing was changed; the caller must raise it. Also where it would end unpaid, and the ledger shows a payment that carries its id.
 * @throws when there is no such withdrawal (a foreign key of ours would be broken), or as the database does. DatabaseRestoredError where it would end unpaid before it is certain what a restored database lost.
 */
export async function applyWithdrawalEvent(
  tx: Transaction,
  withdrawalId: string,
  event: WithdrawalEvent,
  facts: ChangeFacts,
): Promise<Transition> {
  const [transition] = await applyWithdrawalEvents(tx, [{ withdrawalId, event, facts }]);
  assert(transition !== undefined, 'What a withdrawal does with an event is not known.', { withdrawalId });
  return transition;
}

/**
 * As {@link applyWithdrawalEvent}, for several: a few statements, however many of them are paid or opened. Their rows are locked in the order of their ids.
 * @param changes of different withdrawals.
 * @param earlier events that are told before theirs, in the same statement.
 * @returns what was said to each, in their order. @throws where one of them cannot be changed: then none is.
 */
export async function applyWithdrawalEvents(
  tx: Transaction,
  changes: readonly Change[],
  earlier: readonly EventDraft[] = [],
): Promise<readonly Transition[]> {
  const rows = await lockRows(
    tx,
    changes.map(({ withdrawalId }) => withdrawalId),
  );
  const transitions: Transition[] = [];
  const moves: Move[] = [];
  const noted: EventDraft[] = [];
  for (const change of changes) {
    const row = rows.get(change.withdrawalId);
    assert(row !== undefined, 'A withdrawal is not there, or is named twice.', { withdrawalId: change.withdrawalId });
    rows.delete(row.id);
    const { event, facts } = change;
    if (facts.evidence !== undefined && isConfirmed(row, event, facts.evidence)) {
      await note(tx, row, { transfer_id: facts.evidence.transferId, update_id: facts.evidence.updateId }, facts);
      transitions.push({ kind: 'NOTED' });
      continue;
    }
    const transition = await unlessPaid(tx, row, event);
    transitions.push(transition);
    if (transition.kind === 'NOTED') {
      await note(tx, row, { is_cancel_requested: true }, facts);
      noted.push(announcementOf(row, row.state, 'cancel requested', facts));
    } else if (transition.kind !== 'ALARM') moves.push({ ...change, row, state: transition.state });
  }
  await writeMoves(tx, moves);
  await appendEvents(tx, [...earlier, ...noted, ...(await announcementsOf(tx, moves))]);
  return transitions;
}

/** One that takes its withdrawal to another state. */
type Move = Change & { readonly row: WithdrawalRow; readonly state: WithdrawalState };

async function lockRows(tx: Transaction, ids: readonly string[]): Promise<Map<string, WithdrawalRow>> {
  if (ids.length === 0) return new Map();
  const rows = await tx
    .selectFrom('withdrawal')
    .selectAll()
    .where('id', '=', sql<string>`ANY (${ids}::text[])`)
    .orderBy('id')
    .forUpdate()
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}

async function note(
  tx: Transaction,
  { id }: WithdrawalRow,
  what: { readonly transfer_id: string; readonly update_id: string } | { readonly is_cancel_requested: true },
  { nowMicros }: ChangeFacts,
): Promise<void> {
  await tx
    .updateTable('withdrawal')
    .set({ ...what, changed_at: nowMicros })
    .where('id', '=', id)
    .execute();
}

/** The states, and what will not be paid booked back. */
async function writeMoves(tx: Transaction, moves: readonly Move[]): Promise<void> {
  if (moves.length === 0) return;
  for (const { row, state } of moves) {
    // What is lost with a database may have paid it: until the ledger has told, nothing of it ends unpaid.
    if (isFinal(state) && state !== 'COMPLETED' && state !== 'RETURNED') await demandNotRestoring(tx, row.treasury_id);
  }
  const moved = moves.map(({ row, state, event, facts }) => {
    const failure = isFinal(state) ? facts.failure : undefined;
    const doubt = event.kind === 'OFFER_END_UNREADABLE' ? OFFER_UNREADABLE : facts.doubt;
    return {
      id: row.id,
      state,
      changed_at: facts.nowMicros,
      failure_code: failure?.code ?? null,
      failure_detail: failure?.detail ?? null,
      doubt_code: doubt?.code ?? null,
      doubt_detail: doubt?.detail ?? null,
      transfer_id: facts.evidence?.transferId ?? null,
      update_id: facts.evidence?.updateId ?? null,
    };
  });
  // What nothing new is said of stays as it is.
  await sql`
    UPDATE withdrawal w SET state = moved.state, changed_at = moved.changed_at,
      failure_code = coalesce(moved.failure_code, w.failure_code), failure_detail = coalesce(moved.failure_detail, w.failure_detail),
      doubt_code = coalesce(moved.doubt_code, w.doubt_code), doubt_detail = coalesce(moved.doubt_detail, w.doubt_detail),
      transfer_id = coalesce(moved.transfer_id, w.transfer_id), update_id = coalesce(moved.update_id, w.update_id)
    FROM ${relationOf(MOVED_COLUMNS, moved)} AS moved WHERE w.id = moved.id`.execute(tx);
  for (const { row, state, event, facts } of moves) {
    if (isFinal(state) && state !== 'COMPLETED') await bookBack(tx, row, state, event, facts);
  }
}

const MOVED_COLUMNS = {
  id: 'text',
  state: 'text',
  changed_at: 'bigint',
  failure_code: 'text',
  failure_detail: 'text',
  doubt_code: 'text',
  doubt_detail: 'text',
  transfer_id: 'text',
  update_id: 'text',
} as const;

/** A withdrawal passes through QUEUED and IN_FLIGHT once per attempt. */
async function announcementsOf(tx: Transaction, moves: readonly Move[]): Promise<EventDraft[]> {
  // What was only just asked for had no attempt.
  const older = moves.filter(({ row }) => row.state !== 'REQUESTED').map(({ row }) => row.id);
  const counts = older.length === 0 ? new Map<string, bigint>() : await countAttempts(tx, older);
  return moves.map(({ row, state, facts }) => announcementOf(row, state, String(counts.get(row.id) ?? 0n), facts));
}

async function countAttempts(tx: Transaction, ids: readonly string[]): Promise<ReadonlyMap<string, bigint>> {
  const { rows } = await sql<{ id: string; count: bigint }>`
    SELECT s.withdrawal_id AS id, count(*) AS count FROM submission s JOIN attempt a ON a.submission_id = s.id
    WHERE s.withdrawal_id = ANY (${ids}::text[]) GROUP BY s.withdrawal_id`.execute(tx);
  return new Map(rows.map(({ id, count }) => [id, count]));
}

/**
 * What `event` does, unless it would end as unpaid what the ledger shows as paid, in a transfer that carries its id and whose attempt a restored database has lost: then it waits for people, and is not booked back.
 */
async function unlessPaid(
  tx: Transaction,
  { id, state }: { readonly id: string; readonly state: WithdrawalState },
  event: WithdrawalEvent,
): Promise<Transition> {
  const transition = nextState(state, event);
  const endsUnpaid = transition.kind === 'MOVED' && UNPAID_ENDS.has(transition.state);
  if (!endsUnpaid || event.kind === 'RESOLVED_BY_OPERATOR') return transition;
  const { rows } = await sql<{ isPaid: boolean }>`SELECT ${isPaidBefore(sql`ARRAY[${id}::text]`)} AS "isPaid"`.execute(
    tx,
  );
  if (rows[0]?.isPaid !== true) return transition;
  if (event.kind !== 'ATTEMPT_DEAD') return { kind: 'ALARM' };
  return nextState(state, { kind: 'ATTEMPT_DEAD', next: 'RETRY', isCancelRequested: false });
}

const UNPAID_ENDS: ReadonlySet<WithdrawalState> = new Set(['REJECTED', 'CANCELLED', 'FAILED']);

/** @param occasion tells this event from others of the same withdrawal in the same state. */
function announcementOf(row: WithdrawalRow, state: WithdrawalState, occasion: string, facts: ChangeFacts): EventDraft {
  const payload: WithdrawalChanged = {
    withdrawalId: row.id,
    state,
    isFinal: isFinal(state),
    changedAt: facts.nowMicros.toString(),
    failureCode: (isFinal(state) ? facts.failure?.code : undefined) ?? row.failure_code,
    transferId: facts.evidence?.transferId ?? row.transfer_id,
    updateId: facts.evidence?.updateId ?? row.update_id,
  };
  return {
    eventId: eventId(WITHDRAWAL_CHANGED, row.id, `${state}/${occasion}`),
    type: WITHDRAWAL_CHANGED,
    subject: row.id,
    recordedAt: facts.nowMicros,
    payload,
  };
}

type WithdrawalRow = {
  readonly id: string;
  readonly state: WithdrawalState;
  readonly network_id: number;
  readonly treasury_id: number;
  readonly account_id: bigint;
  readonly instrument_id: number;
  readonly amount: string;
  readonly failure_code: string | null;
  readonly transfer_id: string | null;
  readonly update_id: string | null;
};

/** What was debited at the request and is not paid, to the account it came from; of an offer that came back, less what its return costs. The unique cause makes it happen once. */
async function bookBack(
  tx: Transaction,
  row: WithdrawalRow,
  state: WithdrawalState,
  event: WithdrawalEvent,
  facts: ChangeFacts,
): Promise<void> {
  const payer = await tx
    .selectFrom('account')
    .select(['kind', 'owner'])
    .where('id', '=', row.account_id)
    .executeTakeFirstOrThrow();
  const amount = parseAmount(row.amount);
  // Only a customer's own wish costs him something: a refund is the house's, and what nobody can read is nobody's fault.
  const wanted =
    event.kind === 'OFFER_RETURNED' && payer.kind === 'CUSTOMER' ? await readReturnFee(tx, row.instrument_id) : 0n;
  const fee = wanted > amount ? amount : wanted;
  const line = (credit: AccountRef, part: bigint): JournalEntry['lines'] =>
    part === 0n
      ? []
      : [{ debit: houseAccount('WITHDRAWALS'), credit, instrumentKey: row.instrument_id, amount: amountOf(part) }];
  const entry: JournalEntry = {
    cause: `withdrawal:${row.id}:back`,
    description: `withdrawal ${state}`,
    // Not before: until then it was on the withdrawals' account, and whoever asks for a balance of the past is told so.
    recordTime: await timeOf(tx, row.treasury_id, facts),
    lines: [...line(payer, amount - fee), ...line(houseAccount('FEES'), fee)],
  };
  await postEntries(tx, row.network_id, [entry]);
}

/** Of the update where the ledger was the cause, else of our clock. */
async function timeOf(tx: Transaction, treasuryId: number, { evidence, nowMicros }: ChangeFacts): Promise<Micros> {
  if (evidence === undefined) return nowMicros;
  const update = await tx
    .selectFrom('ledger_update')
    .select('record_time')
    .where('treasury_id', '=', treasuryId)
    .where('update_id', '=', evidence.updateId)
    .executeTakeFirst();
  return update?.record_time ?? nowMicros;
}

const OFFER_UNREADABLE = {
  code: 'OFFER_END_UNREADABLE',
  detail:
    'Its offer ended in a way that could not be read: look up with the receiver and the registry what became of the money, then call `resolveWithdrawal`.',
};

/** Two people said that it was paid, and now its transfer is seen: booked already, and no surprise, unless they named another update. */
function isConfirmed(
  row: Pick<WithdrawalRow, 'transfer_id' | 'update_id' | 'state'>,
  { kind }: WithdrawalEvent,
  evidence: NonNullable<ChangeFacts['evidence']>,
): boolean {
  return (
    row.state === 'COMPLETED' &&
    row.transfer_id === null &&
    (kind === 'TRANSFER_SEEN' || kind === 'OFFER_ACCEPTED') &&
    (row.update_id === null || row.update_id === evidence.updateId)
  );
}
