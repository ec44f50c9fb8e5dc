/** What a treasury holds and the pool it is to keep, as people see and set them. */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { parseAmount } from '../../src/tokens/amount.ts';
import { readTreasuryFunds, setPoolTarget } from '../../src/withdrawals/pool/pool-targets.ts';
import { createTestDatabase } from '../support/database.ts';
import { createRows } from '../support/rows.ts';

test('a pool is set and set again, and funds are told by what may be done with them', async () => {
  const database = await createTestDatabase();
  try {
    const rows = createRows(database.db);
    const treasuryId = await rows.treasury();
    const instrumentKey = await rows.instrument();
    await rows.holding('large', '50');
    await rows.holding('small', '3');
    await rows.holding('locked', '7', { lockHolders: ['holder'] });
    const setting = { treasuryId, instrumentKey, amount: parseAmount('50'), inputsMax: 40, by: 'mia', nowMicros: 1n };
    await setPoolTarget(database.db, { ...setting, count: 2 });
    await setPoolTarget(database.db, { ...setting, count: 8 });

    expect(await readTreasuryFunds(database.db, 'testnet')).toEqual([
      {
        treasury: 'treasury',
        party: 'treasury::1220bb',
        instrument: 'Amulet',
        admin: 'DSO::1220aa',
        instrumentId: 'Amulet',
        isAccepted: true,
        free: '53',
        freeCount: 2,
        reserved: '0',
        locked: '7',
        poolCount: 8,
        poolAmount: '50.0000000000',
        largeCount: 1,
        selfTransfersUnderWay: 0,
      },
    ]);
    await expect(setPoolTarget(database.db, { ...setting, count: 501 })).rejects.toThrow();
    const { rows: targets } = await sql`SELECT holdings_count FROM pool_target`.execute(database.db);
    expect(targets).toEqual([{ holdings_count: 8 }]);
    const { rows: audited } = await sql`
      SELECT principal, after ->> 'holdings_count' AS count FROM audit_outbox WHERE subject_type = 'pool_target' ORDER BY seq`.execute(
      database.db,
    );
    expect(audited, 'the same person twice').toEqual([
      { principal: 'mia', count: '2' },
      { principal: 'mia', count: '8' },
    ]);
  } finally {
    await database.close();
  }
});
