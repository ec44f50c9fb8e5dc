/** Names of those who ask: what stands in logs, beside decisions, and before idempotency keys. */
import { PermanentError } from '../env/errors.ts';
import { personOf } from '../env/person.ts';

/** What stands in the place of a name where Sluice itself did something: nobody may pass for it. Its other names have a colon, which no name here has. */
export const OWN_NAMES: ReadonlySet<string> = new Set([
  'memo',
  'screening',
  'configuration',
  'ingestion',
  'verification',
  'policy',
]);

/** What stands beside entries of the audit, restores and freezes. Not refused in the configuration, where a key may have had such a name before, and with it owns its idempotency keys. */
const NEVER_GIVEN: ReadonlySet<string> = new Set([...OWN_NAMES, 'sluice', 'event-log', 'withdrawals']);

// What follows a slash tells several keys of one person apart: alice/laptop, alice/phone (src/env/person.ts).
const KEY_NAME = /^[A-Za-z0-9._-]{1,64}(?:\/[A-Za-z0-9._-]{1,64})?$/;
/** Of users, as identity providers write them; without a slash, which would make them somebody else's, and without a colon. */
const USER_NAME = /^[A-Za-z0-9._@|+=~-]{1,128}$/;

/** @throws PermanentError API_KEY_INVALID. */
export function demandKeyName(name: string): void {
  if (!KEY_NAME.test(name)) {
    throw new PermanentError(
      'API_KEY_INVALID',
      'A key’s name has letters, digits, dots, dashes and one slash at most.',
    );
  }
  if (NEVER_GIVEN.has(personOf(name))) {
    throw new PermanentError(
      'API_KEY_INVALID',
      `API key ${name} needs another name: ${[...NEVER_GIVEN].join(', ')} stand for what Sluice did itself.`,
    );
  }
}

export function isUserName(name: string): boolean {
  return USER_NAME.test(name) && !NEVER_GIVEN.has(personOf(name));
}
