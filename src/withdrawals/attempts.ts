/** What the mechanism of submissions asks of withdrawals: whom an attempt pays, and what follows for him when it is dead. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { formatRecordTime } from '../env/record-time.ts';
import type { DeadAttempt, Purpose } from '../submissions/submission-purpose.ts';
import { MAY_BE_SIGNED } from './payable.ts';
import type { WithdrawalEvent } from './withdrawal-state.ts';
import { applyWithdrawalEvent } from './withdrawal-store.ts';

export const WITHDRAWALS: Purpose = {
  name: 'WITHDRAWAL',
  failpoints: 'withdrawals',
  subject: sql<string>`s.withdrawal_id`,
  mayBeSigned: MAY_BE_SIGNED,
  needsWitness: true,
  inputs: sql`(SELECT json_agg(json_build_object('contractId', r.contract_id, 'amount', h.amount::text) ORDER BY r.contract_id)
    FROM reservation r JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
    WHERE r.submission_id = t.submission_id AND r.number = t.number)`,
  lockSubjects: lockWithdrawals,
  attemptDead,
};

async function lockWithdrawals(tx: Transaction, ids: readonly string[]): Promise<string[]> {
  const rows = await tx
    .selectFrom('withdrawal')
    .select('id')
    .where('id', 'in', ids)
    .orderBy('id')
    .forUpdate()
    .skipLocked()
    .execute();
  return rows.map(({ id }) => id);
}

async function attemptDead(tx: Transaction, id: string, dead: DeadAttempt, nowMicros: Micros): Promise<void> {
  const { is_cancel_requested: isCancelRequested } = await tx
    .selectFrom('withdrawal')
    .select('is_cancel_requested')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const event = (next: 'RETRY' | 'GIVE_UP'): WithdrawalEvent => ({ kind: 'ATTEMPT_DEAD', next, isCancelRequested });
  if (dead.kind === 'GIVEN_UP') {
    const { code, detail, isReleased } = dead.failure;
    if (isReleased === true) await applyWithdrawalEvent(tx, id, event('RETRY'), { nowMicros });
    else await applyWithdrawalEvent(tx, id, event('GIVE_UP'), { nowMicros, failure: { code, detail } });
    return;
  }
  const { isLast, lapsedBy, target } = dead;
  const detail = `The ledger passed ${formatRecordTime(lapsedBy)} without this transfer; its last record time was ${formatRecordTime(target)}.`;
  await applyWithdrawalEvent(tx, id, event(isLast ? 'GIVE_UP' : 'RETRY'), {
    nowMicros,
    ...(isLast && { failure: { code: 'NOT_COMMITTED', detail } }),
  });
}
