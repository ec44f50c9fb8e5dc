/** What the log is told of resolutions: each step, with who took it. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Micros } from '../env/clock.ts';
import { eventId } from '../tokens/ids.ts';
import { WITHDRAWAL_RESOLUTION, type WithdrawalResolutionChanged } from './withdrawal-events.ts';

/** Appends what the resolution is now. */
export async function announceResolution(tx: Transaction, id: bigint, nowMicros: Micros): Promise<void> {
  const { rows } = await sql<WithdrawalResolutionChanged>`
    SELECT withdrawal_id AS "withdrawalId", id::text AS "resolutionId", outcome, state, requested_by AS "requestedBy",
      decided_by AS "decidedBy", evidence, update_id AS "updateId"
    FROM withdrawal_resolution WHERE id = ${id}`.execute(tx);
  await appendEvents(
    tx,
    rows.map((payload) => ({
      eventId: eventId(WITHDRAWAL_RESOLUTION, payload.withdrawalId, `${id}/${payload.state}`),
      type: WITHDRAWAL_RESOLUTION,
      subject: payload.withdrawalId,
      recordedAt: nowMicros,
      payload,
    })),
  );
}
