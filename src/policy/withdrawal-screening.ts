/** The screening of withdrawals that the policy wants screened: asked as deposits are, before anything is reserved or signed. No answer is a no for now; a no is the end. */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { WithdrawalQuestion } from '../deposits/screening-client.ts';
import type { ScreeningKind } from '../deposits/screening-kind.ts';
import type { Verdict } from '../deposits/screening-verdict.ts';
import type { Micros } from '../env/clock.ts';
import { announceApproval } from './approval-events.ts';
import { formatIntentHash } from './intent.ts';
import { lookAt } from './second-look.ts';
import { endUnpaid, lockStanding } from './standing.ts';
import { SCREENING_DENIED, screeningDetail } from './withdrawal-screening-rows.ts';

const BY = 'screening';

export const WITHDRAWAL_SCREENING: ScreeningKind<WithdrawalQuestion> = {
  name: 'screening of withdrawals',
  table: sql`withdrawal_screening`,
  key: sql`withdrawal_id`,
  questionsOf,
  record,
  catchUp: endNeedless,
};

async function questionsOf(db: Database, ids: readonly string[]) {
  const { rows } = await sql<
    Omit<WithdrawalQuestion, 'kind' | 'instrument' | 'intentHash'> & {
      admin: string;
      instrumentId: string;
      intentHash: Buffer;
    }
  >`
    SELECT w.id AS "withdrawalId", n.name AS network, p.party AS "treasuryParty", i.admin, i.instrument_id AS "instrumentId",
      w.amount::text AS amount, w.receiver, w.memo, a.owner AS account, w.client AS "requestedBy",
      withdrawal_intent_hash(w.id) AS "intentHash"
    FROM withdrawal w JOIN network n ON n.id = w.network_id JOIN treasury_party p ON p.id = w.treasury_id
    JOIN account a ON a.id = w.account_id JOIN instrument i ON i.id = w.instrument_id
    WHERE w.id = ANY (${[...ids]}::text[]) AND w.state IN ('AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT')`.execute(db);
  return rows.map(({ admin, instrumentId, intentHash, ...row }) => ({
    id: row.withdrawalId,
    question: {
      ...row,
      kind: 'WITHDRAWAL' as const,
      instrument: { admin, id: instrumentId },
      intentHash: formatIntentHash(intentHash),
    },
  }));
}

/** The verdict, and what follows from it, in one transaction: after a crash there are both or neither, and then it is asked again. */
async function record(
  tx: Transaction,
  { id, question }: { readonly id: string; readonly question: WithdrawalQuestion },
  verdict: Verdict,
  nowMicros: Micros,
): Promise<'RECORDED' | 'NOT_ASKED' | 'PARKED'> {
  const standing = await lockStanding(tx, id, { nowMicros, isWaiting: true });
  if (standing === null) return 'NOT_ASKED';
  // An answer is about what was asked; the database holds the row as it was judged, so they differ only where that was got around.
  if (formatIntentHash(standing.intentHash) !== question.intentHash) return 'NOT_ASKED';
  const { numAffectedRows = 0n } = await sql`
    UPDATE withdrawal_screening SET state = ${verdict.kind === 'ALLOW' ? 'ALLOWED' : 'DENIED'}, next_try_at = NULL, last_error = NULL,
      intent_hash = ${standing.intentHash}, case_id = ${verdict.caseId}, reason = ${verdict.reason}, decided_at = ${nowMicros}, decided_by = ${BY}
    WHERE withdrawal_id = ${id} AND state IN ('WAITING', 'PARKED')`.execute(tx);
  if (numAffectedRows === 0n) return 'NOT_ASKED';
  await announceApproval(tx, {
    withdrawalId: id,
    change: 'SCREENED',
    verdict: standing.number,
    by: BY,
    occasion: nowMicros.toString(),
    nowMicros,
  });
  if (verdict.kind === 'DENY') {
    const detail = screeningDetail(verdict.reason);
    await endUnpaid(tx, id, { change: 'DENIED', by: BY, code: SCREENING_DENIED, detail }, nowMicros);
    return 'RECORDED';
  }
  const now = await lockStanding(tx, id, { nowMicros, isWaiting: true });
  if (now !== null) await lookAt(tx, id, now, nowMicros);
  return 'RECORDED';
}

/** What has ended, or is past being stopped, needs no answer. What nobody can read may be queued again, where the ledger's word comes after all. */
async function endNeedless(db: Database, nowMicros: Micros): Promise<void> {
  await sql`
    UPDATE withdrawal_screening s SET state = 'ENDED', next_try_at = NULL, decided_at = ${nowMicros}, decided_by = 'policy'
    FROM withdrawal w
    WHERE w.id = s.withdrawal_id AND s.state IN ('WAITING', 'PARKED')
      AND w.state NOT IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT', 'UNRESOLVED')`.execute(db);
}
