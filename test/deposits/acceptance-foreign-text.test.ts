/** Offers whose registries say what cannot be stored: of each offer that is noted, and nothing else stands still for it. */
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { OfferRegistry } from '../../src/deposits/acceptance/offer-plan.ts';
import { createOfferSink } from '../../src/deposits/acceptance/offer-sink.ts';
import { PermanentError } from '../../src/env/errors.ts';
import { systemClock } from '../../src/env/system.ts';
import { OFFER_RULES, registryAt, startAcceptance } from '../support/acceptance.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED } from '../support/payouts.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let acceptance: ReturnType<typeof startAcceptance> | null = null;
let server: Server | null = null;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('foreign-text', { registryInstances: 1 });
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createOfferSink({ clock: systemClock })],
  });
});

afterEach(async () => {
  await acceptance?.stop();
  acceptance = null;
  server?.close();
  server?.closeAllConnections();
  server = null;
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

function offer(instrument: string): void {
  simnet.network.tap({ instrument, owner: 'alice', amount: '100' });
  simnet.network.transfer({
    instrument,
    sender: 'alice',
    receiver: 'treasury',
    amount: '7.5',
    memo: 'alice-memo',
    kind: 'offer',
  });
}

function accept(registry: OfferRegistry): ReturnType<typeof startAcceptance> {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const running = startAcceptance({
    db: database.db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry,
    logger: database.logger,
    rules: { ...OFFER_RULES, backoffMsMin: 60_000, backoffMsMax: 60_000 },
  });
  acceptance = running;
  return running;
}

const actions = async () =>
  await database.db
    .selectFrom('offer_action as a')
    .innerJoin('instrument as i', 'i.id', 'a.instrument_id')
    .select(['i.admin', 'a.state', 'a.reason', 'a.detail', 'a.tries', 'a.waits'])
    .execute();

/** Until the offer of the note came to nothing once, and the other one was accepted. */
async function bothSeen(running: { throwIfFailed(): void }): Promise<Awaited<ReturnType<typeof actions>>[number]> {
  const { admin } = simnet.network.instrument('note');
  return await eventually(
    async () => {
      running.throwIfFailed();
      const rows = await actions();
      expect(rows.find((row) => row.admin !== admin)).toMatchObject({ state: 'DONE' });
      const note = rows.find((row) => row.admin === admin);
      if (note === undefined || note.reason === null) throw new Error('Not tried yet.');
      return note;
    },
    { deadlineMs: 30_000 },
  );
}

test('a context with U+0000 puts its own offer off, and ends nothing', { timeout: 60_000 }, async () => {
  const values = { 'a\u0000b': { tag: 'AV_\u0000Nothing', value: 1 } };
  const hostile = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ choiceContextData: { values }, disclosedContracts: [] }));
  });
  server = hostile;
  await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
  const address = hostile.address();
  if (address === null || typeof address === 'string') throw new Error('No port.');
  const { admin } = simnet.network.instrument('note');
  const registries = simnet.registries.map((registry) => ({
    admin: registry.admin,
    urls: registry.admin === admin ? [`http://127.0.0.1:${address.port}`] : [registry.url],
  }));
  offer('note');
  offer('amulet');
  const note = await bothSeen(accept(registryAt(registries, database.logger)));
  expect(note).toMatchObject({ state: 'QUEUED', reason: 'REGISTRY_ANSWER_INVALID', waits: 1 });
});

test('an error with a code and a text that no column takes is noted as far as it can be', {
  timeout: 60_000,
}, async () => {
  const { admin } = simnet.network.instrument('note');
  const well = registryAt(
    simnet.registries.map(({ admin, url }) => ({ admin, urls: [url] })),
    database.logger,
  );
  offer('note');
  offer('amulet');
  const running = accept({
    instructionContext: async (instrument, instructionId, choice) => {
      if (instrument.admin === admin) throw new PermanentError('no\0 code', `said ${'\0\ud800'.repeat(100_000)}`);
      return await well.instructionContext(instrument, instructionId, choice);
    },
  });
  const note = await bothSeen(running);
  expect(note).toMatchObject({ state: 'QUEUED', reason: 'UNEXPECTED', tries: 1 });
  expect(note.detail).toMatch(/^said \uFFFD\uFFFD/);
  expect(note.detail?.length).toBeLessThan(10_000);
});
