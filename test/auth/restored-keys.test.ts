/** Goal: a restore of the database wakes no key that was revoked since. Method: a copy of the database as the backup, and what is kept outside of it. */
import { expect, test } from 'vitest';
import { createApiKeyBook } from '../../src/auth/api-key-book.ts';
import { createApiKeys } from '../../src/auth/api-keys.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { EVERYTHING } from '../../src/read/reach.ts';
import { HELD_MONEY } from '../../src/submissions/held-money.ts';
import { createTestDatabase } from '../support/database.ts';

test('a key revoked after the backup stays revoked when that is put back', async () => {
  const database = await createTestDatabase();
  const book = createApiKeyBook({ db: database.db, clock: systemClock, random: systemRandom });
  const { key, id } = await book.create({
    client: 'restored',
    scopes: ['read'],
    reach: EVERYTHING,
    expiresAt: null,
    by: 'ann',
  });
  const backup = await createTestDatabase({ copyOf: database });
  await book.revoke(id, { by: 'ann', why: 'stolen' });
  const kept = await HELD_MONEY.read(database.db);

  const keys = createApiKeys({
    db: backup.db,
    notifications: null,
    clock: systemClock,
    logger: createSystemLogger('silent'),
    signal: AbortSignal.timeout(60_000),
  });
  await keys.refresh();
  expect(await keys.prove(key)).not.toBeNull();

  await backup.db.transaction().execute(async (tx) => await HELD_MONEY.putBack(tx, kept));
  await keys.refresh();
  expect(await keys.prove(key)).toBeNull();
  const restored = createApiKeyBook({ db: backup.db, clock: systemClock, random: systemRandom });
  expect((await restored.list('restored'))[0]).toMatchObject({ revokedBy: 'ann' });
  await backup.close();
  await database.close();
});
