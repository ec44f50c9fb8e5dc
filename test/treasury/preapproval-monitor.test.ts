/** G7: the treasury's own preapproval over its life, as a participant shows it, and what is said of it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { adoptConfiguredTokens } from '../../src/directory/configured-tokens.ts';
import { systemClock } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { createLedgerClient, type Ledger } from '../../src/ledger/ledger-client.ts';
import { lookAtTreasury } from '../../src/treasury/preapproval-monitor.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const DAY_MS = 86_400_000;

let database: TestDatabase;
let simnet: TestNetwork;
let api: TestApi;
let ledger: Ledger;
let treasury: Treasury;
const lines: string[] = [];

beforeEach(async () => {
  lines.length = 0;
  database = await createTestDatabase();
  simnet = await startTestNetwork('preapproval-monitor', { treasuryPreapprovals: [] });
  const [first] = await registerCatalog(database.db, simnet.catalog);
  if (first === undefined) throw new Error('No treasury.');
  treasury = first;
  const configured = { network: NETWORK, instruments: simnet.catalog.instruments, registries: [] };
  await adoptConfiguredTokens(database.db, configured, { clock: systemClock, logger: database.logger });
  ledger = createLedgerClient({ url: simnet.ledgerUrl() });
  api = await startApi(database);
});

afterEach(async () => {
  await api.stop();
  ledger.close();
  await simnet.stop();
  await database.close();
});

async function look() {
  const note = (message: string) => lines.push(message);
  const logger = { ...database.logger, error: note, info: note };
  const signal = new AbortController().signal;
  return await lookAtTreasury({ db: database.db, ledger, treasury, clock: systemClock, logger, signal });
}

async function shown() {
  const { data, errors } = await api.query(`{ treasuryParties { nodes { preapprovals {
    instrument { instrumentId } state alarm expiresAt lastRenewedAt provider proposedTo trouble } } } }`);
  expect(errors).toBeUndefined();
  return data.treasuryParties.nodes[0].preapprovals;
}

const preapprove = (days: number) =>
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'treasury', lifetimeMs: days * DAY_MS });

test('G7: none, valid, near its end, renewed, expired: each is seen and said once', async () => {
  await look();
  expect(await shown()).toMatchObject([{ instrument: { instrumentId: 'Amulet' }, state: 'NONE', provider: null }]);

  preapprove(90);
  await look();
  await look();
  expect(await shown()).toMatchObject([
    { state: 'VALID', alarm: null, provider: simnet.network.party('validator'), trouble: null },
  ]);

  simnet.network.renewPreapproval({ instrument: 'amulet', receiver: 'treasury', lifetimeMs: 5 * DAY_MS });
  await look();
  const [expiring] = await shown();
  expect(expiring.state).toBe('EXPIRING');
  expect(expiring.alarm).toMatch(/ends in [45] days/);

  simnet.network.renewPreapproval({ instrument: 'amulet', receiver: 'treasury', lifetimeMs: 90 * DAY_MS });
  await look();
  expect(await shown()).toMatchObject([{ state: 'VALID' }]);

  simnet.network.renewPreapproval({ instrument: 'amulet', receiver: 'treasury', lifetimeMs: -1 });
  await look();
  expect(await shown()).toMatchObject([{ state: 'EXPIRED' }]);

  const alarm = 'A deposit address is about to stop taking direct deposits, or has.';
  const fine = 'The preapproval is valid.';
  expect(lines).toEqual([alarm, fine, alarm, fine, alarm]);
});

test('G7: once it has expired a deposit comes as an offer', () => {
  preapprove(-1);
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '5' });
  const payment = { instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1' } as const;

  expect(simnet.network.transfer(payment).kind).toBe('pending');
  preapprove(1);
  expect(simnet.network.transfer(payment).kind).toBe('completed');
});

test('a participant that is away leaves what was seen, with its trouble', async () => {
  preapprove(90);
  await look();
  await simnet.endpoints.close('participant1');

  await look();

  expect(await shown()).toMatchObject([{ state: 'VALID', trouble: expect.any(String) }]);
});

test('one that its provider has cancelled is gone', async () => {
  preapprove(90);
  const [seen] = await look();
  expect(seen?.look.preapproval).not.toBeNull();

  simnet.network.cancelPreapproval({ instrument: 'amulet', receiver: 'treasury' });
  const [after] = await look();

  expect(after?.look).toMatchObject({ preapproval: null, proposal: null, canPropose: true });
});
