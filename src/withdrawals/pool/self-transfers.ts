/**
 * What the mechanism of submissions asks of transfers to ourselves.
 *
 *   IN_FLIGHT  an attempt is open. Seen → DONE; the attempt dead → ENDED.
 *   DONE       the ledger shows it.   ENDED   it did not happen.
 *
 * Each has one attempt: what is needed when that is dead is planned anew, from what is there then. Should a dead one commit all the same, it moved our own money to ourselves.
 */
import { sql } from 'kysely';
import type { Transaction } from '../../db/connection.ts';
import type { Micros } from '../../env/clock.ts';
import type { DeadAttempt, Purpose } from '../../submissions/submission-purpose.ts';

export const SELF_TRANSFERS: Purpose = {
  name: 'SELF_TRANSFER',
  failpoints: 'selfTransfers',
  subject: sql<string>`s.self_transfer_id`,
  // Nobody asked for it, so nobody can take it back: halts and freezes, which are asked for everything, are all there is against it.
  mayBeSigned: sql<boolean>`true`,
  inputs: sql`(SELECT json_agg(json_build_object('contractId', r.contract_id, 'amount', h.amount::text) ORDER BY r.contract_id)
    FROM reservation r JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
    WHERE r.submission_id = t.submission_id AND r.number = t.number)`,
  lockSubjects,
  attemptDead,
};

async function lockSubjects(tx: Transaction, ids: readonly string[]): Promise<string[]> {
  const rows = await tx
    .selectFrom('self_transfer')
    .select('id')
    .where('id', 'in', ids)
    .orderBy('id')
    .forUpdate()
    .skipLocked()
    .execute();
  return rows.map(({ id }) => id);
}

async function attemptDead(tx: Transaction, id: string, dead: DeadAttempt, nowMicros: Micros): Promise<void> {
  const why =
    dead.kind === 'GIVEN_UP'
      ? { reason: dead.failure.code, detail: dead.failure.detail }
      : { reason: 'NOT_COMMITTED', detail: dead.lastError ?? 'The ledger passed its last record time without it.' };
  await tx
    .updateTable('self_transfer')
    .set({ state: 'ENDED', ...why, changed_at: nowMicros })
    .where('id', '=', id)
    .where('state', '=', 'IN_FLIGHT')
    .execute();
}
