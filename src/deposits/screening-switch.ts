/** Changes whether deposits wait for the verdict of a screening service (screening-mode.ts), for every process in one moment. */
import { sql } from 'kysely';
import { actByCommand } from '../db/acting.ts';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { readDepositScreening, screeningLock } from './screening-mode.ts';

export type Switch = {
  readonly network: string;
  readonly to: 'on' | 'off';
  /** Who wants it, kept in the audit with `why`. */
  readonly by: string;
  readonly why: string;
  readonly nowMicros: Micros;
};

/**
 * Waits for those who credit by the old decision; whoever comes meanwhile waits for it. What waits for a verdict goes on waiting: a switch credits nobody.
 * @returns what was in force before; the same as wanted: nothing was changed, but for a decision that nobody had made yet.
 * @throws PermanentError NETWORK_UNKNOWN; RetryableError DB_LOCK_TIMEOUT where somebody credits for longer than is waited, as a rebuild does. Nothing is changed then.
 */
export async function switchScreening(db: Database, wanted: Switch): Promise<'on' | 'off'> {
  return await actByCommand(
    wanted.by,
    async () => await db.transaction().execute(async (tx) => await turn(tx, wanted)),
  );
}

async function turn(tx: Transaction, { network, to, by, why, nowMicros }: Switch): Promise<'on' | 'off'> {
  const found = await tx.selectFrom('network').select('id').where('name', '=', network).executeTakeFirst();
  if (found === undefined) throw new PermanentError('NETWORK_UNKNOWN', `No network is called ${network} here.`);
  await sql`SELECT pg_advisory_xact_lock(${screeningLock(found.id)})`.execute(tx);
  const { isOn, decided } = await readDepositScreening(tx, network);
  const from = isOn ? 'on' : 'off';
  if (from === to && decided !== null) return from;
  // Processes tell an older decision from a newer one by its time, whatever the clock of this machine says.
  await sql`
    INSERT INTO deposit_screening AS kept (network_id, is_on, decided_at, decided_by, why) VALUES (${found.id}, ${to === 'on'}, ${nowMicros}::bigint, ${by}, ${why})
    ON CONFLICT (network_id) DO UPDATE SET is_on = excluded.is_on, decided_at = greatest(excluded.decided_at, kept.decided_at + 1),
      decided_by = excluded.decided_by, why = excluded.why`.execute(tx);
  return from;
}

/** How many deposits and offers of the network have no verdict yet, parked ones too. */
export async function countWaiting(db: Database, network: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM screening s JOIN treasury_party p ON p.id = s.treasury_id JOIN network n ON n.id = p.network_id
    WHERE n.name = ${network} AND s.state IN ('WAITING', 'PARKED')`.execute(db);
  return rows[0]?.count ?? 0;
}
