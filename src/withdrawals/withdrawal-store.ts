/**
 * The one place where a withdrawal changes state. Every change goes through the state machine under the row's lock, and whatever belongs to the change (the event, the booking back of what
 * will not be paid) is written with it.
 */
import { sql } from 'kysely';
import { type AccountRef, houseAccount, type JournalEntry, postEntries } from '../books/journal.ts';
import type { Transaction } from '../db/connection.ts';
import { demandNotRestoring } from '../db/database-restore.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
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
  const row = await tx
    .selectFrom('withdrawal')
    .selectAll()
    .where('id', '=', withdrawalId)
    .forUpdate()
    .executeTakeFirstOrThrow();
  const { evidence } = facts;
  if (evidence !== undefined && isConfirmed(row, event, evidence)) {
    await tx
      .updateTable('withdrawal')
      .set({ transfer_id: evidence.transferId, update_id: evidence.updateId, changed_at: facts.nowMicros })
      .where('id', '=', withdrawalId)
      .execute();
    return { kind: 'NOTED' };
  }
  const transition = await unlessPaid(tx, row, event);
  if (transition.kind === 'ALARM') return transition;
  if (transition.kind === 'NOTED') {
    await tx
      .updateTable('withdrawal')
      .set({ is_cancel_requested: true, changed_at: facts.nowMicros })
      .where('id', '=', withdrawalId)
      .execute();
    await announce(tx, row, row.state, 'cancel requested', facts);
    return transition;
  }

  const { state } = transition;
  const failure = isFinal(state) ? facts.failure : undefined;
  const doubt = event.kind === 'OFFER_END_UNREADABLE' ? OFFER_UNREADABLE : facts.doubt;
  // What is lost with a database may have paid it: until the ledger has told, nothing of it ends unpaid.
  if (isFinal(state) && state !== 'COMPLETED' && state !== 'RETURNED') await demandNotRestoring(tx, row.treasury_id);
  await tx
    .updateTable('withdrawal')
    .set({
      state,
      changed_at: facts.nowMicros,
      ...(failure && { failure_code: failure.code, failure_detail: failure.detail }),
      ...(doubt && { doubt_code: doubt.code, doubt_detail: doubt.detail }),
      ...(facts.evidence && { transfer_id: facts.evidence.transferId, update_id: facts.evidence.updateId }),
    })
    .where('id', '=', withdrawalId)
    .execute();
  if (isFinal(state) && state !== 'COMPLETED') await bookBack(tx, row, state, event, facts);

  const { count } = await tx
    .selectFrom('attempt')
    .innerJoin('submission', 'submission.id', 'attempt.submission_id')
    .select((row) => row.fn.countAll<bigint>().as('count'))
    .where('submission.withdrawal_id', '=', withdrawalId)
    .executeTakeFirstOrThrow();
  // A withdrawal passes through QUEUED and IN_FLIGHT once per attempt.
  await announce(tx, row, state, String(count), facts);
  return transition;
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
async function announce(
  tx: Transaction,
  row: WithdrawalRow,
  state: WithdrawalState,
  occasion: string,
  facts: ChangeFacts,
): Promise<void> {
  const payload: WithdrawalChanged = {
    withdrawalId: row.id,
    state,
    isFinal: isFinal(state),
    changedAt: facts.nowMicros.toString(),
    failureCode: (isFinal(state) ? facts.failure?.code : undefined) ?? row.failure_code,
    transferId: facts.evidence?.transferId ?? row.transfer_id,
    updateId: facts.evidence?.updateId ?? row.update_id,
  };
  await appendEvents(tx, [
    {
      eventId: eventId(WITHDRAWAL_CHANGED, row.id, `${state}/${occasion}`),
      type: WITHDRAWAL_CHANGED,
      subject: row.id,
      recordedAt: facts.nowMicros,
      payload,
    },
  ]);
}

type WithdrawalRow = {
  readonly id: string;
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
  row: Pick<WithdrawalRow, 'transfer_id' | 'update_id'> & { readonly state: WithdrawalState },
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
