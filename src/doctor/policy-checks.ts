/** Whether the policy, and what was done before, ask for what this installation has. Reads, changes nothing. */
import type { Database } from '../db/connection.ts';
import { wereScreened } from '../deposits/screening-gate.ts';
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

/** One process without the screening service is enough for deposits to be credited that nobody has looked at. @param db migrated. */
export async function checkScreening(db: Database, isScreening: boolean): Promise<readonly Finding[]> {
  return await looked('screening', 'Is the database readable for our role?', async () => {
    if (isScreening) return [ok('screening', 'deposits are shown to the screening service before they are credited')];
    if (!(await wereScreened(db))) return [ok('screening', 'none is configured, and none ever was')];
    return [
      warn(
        'screening',
        'deposits were screened here, and this configuration names no screening service',
        'A process that is started with it credits them unseen. Set SLUICE_SCREENING_URL and SLUICE_SCREENING_SECRET, unless nobody screens them any more.',
      ),
    ];
  });
}
