/** What a person can ask of the screening: that a question is put again which got no answer. A verdict nobody can give here but the service. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Clock } from '../env/clock.ts';
import { eventId } from '../tokens/ids.ts';
import { DeskRefusal } from './desk-refusal.ts';

export type ScreeningRequests = {
  /** The service is asked again at once, with all its tries. Harmless when repeated. @throws DeskRefusal SCREENING_UNKNOWN. */
  askAgain(wanted: { readonly transferId: string; readonly by: string }): Promise<void>;
};

/** An event of the log: somebody had a question put again. Its subject is the transfer. */
export const SCREENING_ASKED_AGAIN = 'screening.askedAgain';

export function createScreeningRequests({
  db,
  clock,
}: {
  readonly db: Database;
  readonly clock: Clock;
}): ScreeningRequests {
  return {
    askAgain: async ({ transferId, by }) => {
      if (!transferId.isWellFormed() || transferId.includes('\0')) throw new DeskRefusal('SCREENING_UNKNOWN');
      const nowMicros = clock.nowMicros();
      await db.transaction().execute(async (tx) => {
        const { numAffectedRows = 0n } = await sql`
          UPDATE screening SET state = 'WAITING', tries = 0, next_try_at = ${nowMicros}
          WHERE transfer_id = ${transferId} AND state IN ('WAITING', 'PARKED')`.execute(tx);
        if (numAffectedRows === 0n) throw new DeskRefusal('SCREENING_UNKNOWN');
        await appendEvents(tx, [
          {
            eventId: eventId(SCREENING_ASKED_AGAIN, transferId, nowMicros.toString()),
            type: SCREENING_ASKED_AGAIN,
            subject: transferId,
            payload: { transferId, by },
            recordedAt: nowMicros,
          },
        ]);
      });
    },
  };
}
