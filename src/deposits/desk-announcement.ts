/** What the log is told of the desk: each step of a decision, with who took it and why. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { eventId } from '../tokens/ids.ts';
import { DESK_DECISION, type DepositFacts, type DeskDecisionPayload } from './deposit-events.ts';
import type { LockedCase } from './desk-case-lock.ts';

/** Appends what the decision is now. */
export async function announceDecision(
  tx: Transaction,
  decisionId: bigint,
  { withdrawalId, nowMicros }: { readonly withdrawalId: string | null; readonly nowMicros: Micros },
): Promise<void> {
  const { rows } = await sql<Omit<DeskDecisionPayload, 'decisionId' | 'withdrawalId'>>`
    SELECT d.transfer_id AS "transferId", d.kind, d.state, a.owner AS account, d.requested_by AS "requestedBy",
      d.decided_by AS "decidedBy", coalesce(d.decided_reason, d.reason) AS reason
    FROM desk_decision d LEFT JOIN account a ON a.id = d.account_id WHERE d.id = ${decisionId}`.execute(tx);
  const [row] = rows;
  assert(row !== undefined, 'A decision that was just written is not there.', { decisionId });
  const payload: DeskDecisionPayload = { ...row, decisionId: decisionId.toString(), withdrawalId };
  await appendEvents(tx, [
    {
      eventId: eventId(DESK_DECISION, row.transferId, `${decisionId}/${row.state}`),
      type: DESK_DECISION,
      subject: row.transferId,
      payload,
      recordedAt: nowMicros,
    },
  ]);
}

export function depositFactsOf(found: LockedCase): DepositFacts {
  return {
    transferId: found.transferId,
    treasuryParty: found.treasuryParty,
    instrument: { admin: found.admin, id: found.instrumentId },
    amount: found.amount,
    memo: found.memo,
    sender: found.sender,
    updateId: found.updateId,
    recordTime: found.recordTime.toString(),
  };
}
