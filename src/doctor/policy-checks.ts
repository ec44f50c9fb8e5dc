/** Whether the policy, and what was done before, ask for what this installation has. Reads, changes nothing. */
import type { Database } from '../db/connection.ts';
import { readDepositScreening } from '../deposits/screening-mode.ts';
import { countWaiting } from '../deposits/screening-switch.ts';
import type { Clock } from '../env/clock.ts';
import { readPolicy } from '../policy/policy-in-force.ts';
import { type Finding, fail, looked, ok, warn } from './finding.ts';

/** @param db migrated. No finding where the network is not known yet: nothing was ever asked for there. */
export async function checkPolicy(
  db: Database,
  { network, isScreening, clock }: { readonly network: string; readonly isScreening: boolean; readonly clock: Clock },
): Promise<readonly Finding[]> {
  const unread = 'No withdrawal is judged while the policy cannot be read: does this version know what it says?';
  return await looked('policy', unread, async () => {
    const known = await db.selectFrom('network').select('id').where('name', '=', network).executeTakeFirst();
    if (known === undefined) return [];
    const { version, document } = await readPolicy(db, known.id, clock.nowMicros());
    if (version === 0) return [ok('policy', 'nobody has set one: every withdrawal is allowed')];
    const screening = document.rules.filter(({ outcome }) => outcome === 'SCREEN').map(({ name }) => `"${name}"`);
    if (screening.length > 0 && !isScreening)
      return [
        fail(
          'policy',
          `version ${version} has withdrawals screened (${screening.join(', ')}), and nobody screens them`,
          'They wait until their deadline, for ever where they have none. Set SLUICE_SCREENING_URL and SLUICE_SCREENING_SECRET, or change the policy.',
        ),
      ];
    return [ok('policy', `version ${version} holds, and asks for nothing that is not there`)];
  });
}

/**
 * What a worker with this configuration would be told at its start.
 * @param db migrated. @param wanted.isWanted whether it would have deposits screened, `isAsking` whether it has a service to ask; null: only answers requests, and does neither.
 */
export async function checkScreening(
  db: Database,
  wanted: {
    readonly network: string;
    readonly worker: { readonly isWanted: boolean; readonly isAsking: boolean } | null;
  },
): Promise<readonly Finding[]> {
  const { network, worker } = wanted;
  return await looked('screening', 'Is the database readable for our role?', async () => {
    const { isOn, decided } = await readDepositScreening(db, network);
    const found = isOn
      ? 'deposits wait for the screening service before they are credited'
      : 'deposits are not screened';
    if (worker !== null && isOn !== worker.isWanted && (isOn || decided !== null))
      return [
        fail(
          'screening',
          `${found}, and this configuration says otherwise`,
          `A worker does not start with it (DEPOSIT_SCREENING_DIFFERS). ${isOn ? 'Set SLUICE_SCREENING_URL and SLUICE_SCREENING_SECRET' : 'Set SLUICE_DEPOSIT_SCREENING=off'}, or change what holds with \`sluice screening switch\`.`,
        ),
      ];
    const waiting = worker === null || worker.isAsking ? 0 : await countWaiting(db, network);
    if (waiting > 0)
      return [
        warn(
          'screening',
          `${found}, and ${waiting} still wait for a verdict from before`,
          'Nobody asks for it without the service: let one worker have SLUICE_SCREENING_URL, with SLUICE_DEPOSIT_SCREENING=off.',
        ),
      ];
    return [ok('screening', found)];
  });
}
