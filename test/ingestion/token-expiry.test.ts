/** A19: streams that outlive their tokens. Participants check tokens at every call and cut streams whose token has ended; tokens come from the network's own token endpoint. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createSecret } from '../../src/config/secret.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { createOAuthToken } from '../../src/ledger/oauth-token.ts';
import { TOKEN_PATH } from '../../src/simnet/wire/token-endpoint.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const LIFETIME_MS = 3_000;

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let renewing: Promise<void>;
const ending = new AbortController();
let isProviderAway = false;
let asked = 0;
let paid = 0;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('token-expiry', { checkpoints: { busyMs: 100, idleMs: 200 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  simnet.network.access.setUser({ id: 'sluice', readAs: ['treasury'], isAdmin: true });
  simnet.network.access.setTokenLifetime(LIFETIME_MS);
  simnet.network.access.demandTokens(true);
  const tokens = createOAuthToken({
    url: `${simnet.controlUrl}${TOKEN_PATH}`,
    clientId: 'sluice',
    clientSecret: createSecret('hunter2'),
    audience: null,
    scope: null,
    fetch: async (url, init) => {
      asked += 1;
      return isProviderAway ? new Response('', { status: 503 }) : await fetch(url, init);
    },
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger('silent'),
  });
  renewing = tokens.run(ending.signal);
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    endpoints: { tokens },
    settings: { reconnect: { attemptsMax: 60, delayMsMin: 20, delayMsMax: 300 } },
  });
});

afterEach(async () => {
  ending.abort();
  await ingestion.stop();
  await renewing;
  await simnet.stop();
  await database.close();
});

function payIn(): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1',
    memo: 'alice-memo',
  });
  paid += 1;
}

const allCredited = () =>
  eventually(
    async () => {
      ingestion.throwIfFailed();
      const { rows } = await sql<{ total: string | null }>`
        SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
        database.db,
      );
      expect(Number(rows[0]?.total ?? 0)).toBe(paid);
    },
    { deadlineMs: 15_000 },
  );

test('A19, H10: ingestion goes on over the end of tokens, and through a provider that is away for longer than a token lives', async () => {
  const until = systemClock.nowMicros() + 7_000_000n;
  while (systemClock.nowMicros() < until) {
    payIn();
    await systemClock.sleep(200);
  }
  await allCredited();
  // A renewal each two thirds of a life, whatever the number of calls.
  expect(asked).toBeLessThan(12);

  isProviderAway = true;
  payIn();
  await systemClock.sleep(LIFETIME_MS + 1_500);
  const before = paid;
  payIn();
  isProviderAway = false;
  await allCredited();

  expect(paid).toBe(before + 1);
  expect(await checkBooks(database.db)).toEqual([]);
});
