/** `sluice doctor` on a whole installation that works, and with one thing wrong at a time. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommandContext } from '../../src/cli/command-context.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { environmentFor, payoutEnvironmentFor } from '../../src/cli/simnet-environment.ts';
import { createTerminal } from '../../src/cli/terminal.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { judgeServer, type ServerFacts } from '../../src/doctor/database-checks.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { checkSigner } from '../../src/doctor/outside-checks.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { createPolicyChanges } from '../../src/policy/policy-changes.ts';
import { createTestDatabase } from '../support/database.ts';
import { decideScreening } from '../support/deposit-screening.ts';
import { eventually } from '../support/eventually.ts';
import { startWithdrawalScene, type WithdrawalScene } from '../support/withdrawal-scene.ts';

let scene: WithdrawalScene;
let environment: Record<string, string>;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-doctor-'));
  scene = await startWithdrawalScene();
  const [participant] = scene.simnet.participants;
  if (participant === undefined) throw new Error('The network has no participant.');
  environment = {
    DATABASE_URL: scene.database.connectionString,
    ...environmentFor(scene.simnet, participant),
    ...(await payoutEnvironmentFor(scene.simnet, systemRandom)),
    SLUICE_ANCHOR_FILE: join(folder, 'anchor'),
  };
  await scene.fund('amulet', ['5']);
  // Registries have been looked at and pinned.
  await eventually(
    async () => {
      const tokens = await scene.database.db.selectFrom('token').select('pinned_at').execute();
      expect(tokens.length).toBeGreaterThan(0);
      for (const { pinned_at } of tokens) expect(pinned_at).not.toBeNull();
    },
    { deadlineMs: 30_000, intervalMs: 200 },
  );
}, 90_000);
afterAll(async () => {
  await scene.close();
  await rm(folder, { recursive: true });
});

type Answer = { readonly text: string; readonly isNo: boolean; readonly findings: readonly Finding[] };

async function ask(
  more: Record<string, string> = {},
  options: { aheadMs?: number; isPlain?: boolean } = {},
): Promise<Answer> {
  let text = '';
  const keep = (part: string): boolean => {
    text += part;
    return true;
  };
  let isNo = false;
  const aheadMicros = BigInt(options.aheadMs ?? 0) * 1_000n;
  const context: CommandContext = {
    environment: { ...environment, ...more },
    terminal: createTerminal({ write: keep }, { isPlain: true }),
    createLogger: () => createSystemLogger('silent'),
    clock: { ...systemClock, nowMicros: () => systemClock.nowMicros() + aheadMicros },
    random: systemRandom,
    end: (reason) => {
      isNo = reason === 'no';
    },
  };
  await doctorCommand(context).parseAsync(options.isPlain === true ? [] : ['--json'], { from: 'user' });
  return { text, isNo, findings: options.isPlain === true ? [] : JSON.parse(text).findings };
}

const failsOf = ({ findings }: Answer) =>
  findings.filter(({ outcome }) => outcome === 'FAIL').map(({ check }) => check);
/** What has to be done, and that the doctor says how. */
async function expectFail(
  check: string,
  more: Record<string, string> = {},
  options: { aheadMs?: number } = {},
): Promise<Answer> {
  const answer = await ask(more, options);
  expect(failsOf(answer)).toContain(check);
  expect(answer.isNo).toBe(true);
  for (const { outcome, todo } of answer.findings) expect(todo === null).toBe(outcome === 'OK');
  return answer;
}

test('an installation that works has nothing to be done, and every part of it was looked at', {
  timeout: 60_000,
}, async () => {
  const answer = await ask();
  expect(failsOf(answer)).toEqual([]);
  expect(answer.isNo).toBe(false);
  const checks = new Set(answer.findings.map(({ check }) => check));
  for (const check of [
    'database.reachable',
    'database.schema',
    'clock.database',
    'ledger.reachable',
    'ledger.rights',
    'ledger.packages',
    'clock.ledger',
    'ledger.position',
    'registry',
    'scan',
    'signer',
    'anchor',
    'disk',
  ]) {
    expect([...checks]).toContain(check);
  }
  const { text } = await ask({}, { isPlain: true });
  expect(text).toMatch(/^ok {3}database\.reachable/m);
  expect(text).toMatch(/have to be done\n$/);
});

test('Z29: a database that cannot be reached is told without its password, and the rest is looked at', {
  timeout: 60_000,
}, async () => {
  const answer = await expectFail('database.reachable', {
    DATABASE_URL: 'postgresql://sluice:canary-5ec%2Fret@127.0.0.1:1/sluice',
  });
  expect(answer.text).not.toMatch(/canary-5ec/);
  expect(answer.findings.find(({ check }) => check === 'ledger.reachable')?.outcome).toBe('OK');
});

test('a policy that has withdrawals screened where nobody screens them', { timeout: 60_000 }, async () => {
  const found = ({ findings }: Answer) => findings.find(({ check }) => check === 'policy');
  expect(found(await ask())).toMatchObject({ outcome: 'OK', found: expect.stringContaining('nobody has set one') });
  const { db } = scene.database;
  const changes = createPolicyChanges({ db, clock: systemClock, network: environment['SLUICE_NETWORK'] ?? 'devnet' });
  const document = JSON.stringify({
    change: { approvals: 2, delaySeconds: 3_600 },
    approvalSeconds: 86_400,
    otherwise: 'ALLOW',
    rules: [{ name: 'strangers', when: {}, outcome: 'SCREEN' }],
  });
  await changes.setFirst({ document, why: 'the first one', by: 'root' });

  const answer = await expectFail('policy');
  expect(found(answer)?.found).toContain('"strangers"');
  const screened = { SLUICE_SCREENING_URL: 'https://screening.example', SLUICE_SCREENING_SECRET: 'ab'.repeat(32) };
  expect(found(await ask(screened))).toMatchObject({ outcome: 'OK' });
  expect(found(await ask({ SLUICE_ROLE: 'api' })), 'whoever only answers requests screens nothing').toBeUndefined();
});

test('a configuration of a worker that says otherwise about the screening of deposits than the network', {
  timeout: 60_000,
}, async () => {
  const found = ({ findings }: Answer) => findings.find(({ check }) => check === 'screening');
  const { db } = scene.database;
  const network = environment['SLUICE_NETWORK'] ?? 'devnet';
  const screened = { SLUICE_SCREENING_URL: 'https://screening.example', SLUICE_SCREENING_SECRET: 'ab'.repeat(32) };
  const differs = { outcome: 'FAIL', todo: expect.stringContaining('DEPOSIT_SCREENING_DIFFERS') };
  expect(found(await ask(screened)), 'the worker of this scene has decided').toMatchObject(differs);
  await sql`DELETE FROM deposit_screening`.execute(db);
  expect(found(await ask(screened)), 'nobody has decided').toMatchObject({ outcome: 'OK' });
  await sql`
    WITH customer AS (INSERT INTO account (network_id, kind, owner) SELECT id, 'CUSTOMER', 'carol' FROM network RETURNING id)
    INSERT INTO screening (transfer_id, treasury_id, instrument_id, is_offer, state, account_id, owner_decided_by, amount, update_id, record_time, next_try_at, opened_at)
    SELECT 'tr_x', (SELECT min(id) FROM treasury_party), (SELECT min(id) FROM instrument), false, 'WAITING', id, 'memo', 1, '1220', 1, 1, 1 FROM customer`.execute(
    db,
  );
  expect(found(await ask()), 'they were screened before anybody decided').toMatchObject(differs);
  await decideScreening(db, network, true);
  expect(found(await ask())).toMatchObject(differs);
  expect(found(await ask(screened))).toMatchObject({ outcome: 'OK' });
  expect(found(await ask({ SLUICE_ROLE: 'api' }))).toMatchObject({ outcome: 'OK' });

  await decideScreening(db, network, false);
  expect(found(await ask(screened))).toMatchObject(differs);
  expect(found(await ask({ ...screened, SLUICE_DEPOSIT_SCREENING: 'off' }))).toMatchObject({ outcome: 'OK' });
  expect(found(await ask())).toMatchObject({ outcome: 'WARN', found: expect.stringContaining('1 still wait') });
  await sql`DELETE FROM screening`.execute(db);
  expect(found(await ask())).toMatchObject({ outcome: 'OK' });
});

test('a database that is not migrated, takes no writes, or forgets what it confirmed', {
  timeout: 60_000,
}, async () => {
  const empty = await createTestDatabase({ isMigrated: false });
  const name = new URL(empty.connectionString).pathname.slice(1);
  try {
    await sql`ALTER DATABASE ${sql.ref(name)} SET synchronous_commit = off`.execute(empty.db);
    await sql`ALTER DATABASE ${sql.ref(name)} SET default_transaction_read_only = on`.execute(empty.db);
    const answer = await expectFail('database.schema', { DATABASE_URL: empty.connectionString });
    expect(failsOf(answer)).toEqual(expect.arrayContaining(['database.synchronous_commit', 'database.writable']));
  } finally {
    await empty.close();
  }
});

test('settings of a server that lose money or leave no room', () => {
  const well: ServerFacts = {
    version: 170_002,
    fsync: 'on',
    fullPageWrites: 'on',
    synchronousCommit: 'on',
    encoding: 'UTF8',
    isStandby: false,
    isReadOnly: false,
    isSuperuser: false,
    connectionsMax: 200,
    connectionsUsed: 20,
    oldestTransactionSeconds: 1,
    sessionsHidden: 0,
    notificationsShare: 0,
  };
  const checksOf = (facts: Partial<ServerFacts>) =>
    judgeServer({ ...well, ...facts }).map(({ check, outcome }) => `${outcome} ${check}`);
  expect(checksOf({})).toEqual(['OK database.settings']);
  expect(checksOf({ version: 140_011 })).toEqual(['FAIL database.version']);
  expect(checksOf({ fsync: 'off' })).toEqual(['FAIL database.fsync']);
  expect(checksOf({ fullPageWrites: 'off' })).toEqual(['FAIL database.full_page_writes']);
  expect(checksOf({ encoding: 'SQL_ASCII' })).toEqual(['FAIL database.encoding']);
  expect(checksOf({ isStandby: true })).toEqual(['FAIL database.writable']);
  expect(checksOf({ isSuperuser: true })).toEqual(['WARN database.role']);
  expect(checksOf({ connectionsUsed: 180 })).toEqual(['WARN database.connections']);
  expect(checksOf({ oldestTransactionSeconds: 3_600 })).toEqual(['WARN database.old_transaction']);
  expect(checksOf({ notificationsShare: 0.2 })).toEqual(['WARN database.notifications']);
  expect(checksOf({ sessionsHidden: 3 })).toEqual(['OK database.settings', 'OK database.old_transaction']);
});

test('a clock that is wrong is told against the database and against the ledger', { timeout: 60_000 }, async () => {
  const ahead = await expectFail('clock.database', {}, { aheadMs: 3_600_000 });
  expect(failsOf(ahead)).toContain('clock.ledger');
  const behind = await expectFail('clock.ledger', {}, { aheadMs: -3_600_000 });
  expect(failsOf(behind)).toContain('clock.database');
});

test('a participant that is away, one whose user lacks rights, and one without the packages', {
  timeout: 90_000,
}, async () => {
  await expectFail('ledger.reachable', { SLUICE_LEDGER_URL: 'http://127.0.0.1:1' });

  const { access } = scene.simnet.network;
  access.setUser({ id: 'sluice', readAs: ['treasury'], executeAs: [] });
  access.demandTokens(true);
  const { token } = access.issueToken({ user: 'sluice', lifetimeMs: 600_000 });
  const answer = await expectFail('ledger.rights', { SLUICE_LEDGER_TOKEN: token });
  expect(answer.findings.find(({ check, outcome }) => check === 'ledger.rights' && outcome === 'FAIL')?.todo).toMatch(
    /^curl /,
  );
  expect(answer.text).not.toContain(token);
  access.demandTokens(false);

  await sql`UPDATE token SET packages = ARRAY['no-such-package']`.execute(scene.database.db);
  await expectFail('ledger.packages');
});

test('a registry that says otherwise than was pinned, and one that is away', { timeout: 60_000 }, async () => {
  const { db } = scene.database;
  const amulet = db.selectFrom('instrument').select('id').where('name', '=', 'amulet');
  await db.updateTable('token').set({ pinned_decimals: 3 }).where('instrument_id', 'in', amulet).execute();
  const differs = await expectFail('registry');
  expect(differs.findings.find(({ check, outcome }) => check === 'registry' && outcome === 'FAIL')?.found).toContain(
    'decimals was 3',
  );

  const away = await expectFail('scan', { SLUICE_VALIDATOR_URL: 'http://127.0.0.1:1/api/validator' });
  expect(failsOf(away)).toContain('scan');
});

test('a signer that is away, and one with a key that is nobody’s', { timeout: 60_000 }, async () => {
  await expectFail('signer', { SLUICE_DEV_SIGNER_SEED: '', SLUICE_SIGNER_URL: `unix:${join(folder, 'no.sock')}` });

  const signer = createLocalSigner({ privateKey: ed25519PrivateKey(Buffer.alloc(32, 3)) });
  const { fingerprint } = await signer.currentKey();
  const treasuries = [{ name: 'main', party: `main::${fingerprint}` }];
  const outcomes = async (keys: readonly string[]) =>
    (await checkSigner(signer, { treasuries, keysOf: () => keys })).map(({ outcome }) => outcome);
  expect(await outcomes([fingerprint])).toEqual(['OK']);
  expect(await outcomes([`1220${'0'.repeat(64)}`])).toEqual(['FAIL']);
});

test('an identity provider that does not answer, and a file outside the database that cannot be kept', {
  timeout: 60_000,
}, async () => {
  const answer = await expectFail('issuer', {
    SLUICE_OIDC_ISSUERS: 'http://127.0.0.1:1/realm',
    SLUICE_OIDC_AUDIENCE: 'sluice',
    SLUICE_OIDC_PRIVATE: 'allow',
    SLUICE_ANCHOR_FILE: join(folder, 'not-there', 'anchor'),
  });
  expect(failsOf(answer)).toContain('anchor');
});

test('a file outside the database that no process would start with', { timeout: 60_000 }, async () => {
  const file = join(folder, 'damaged-anchor');
  await writeFile(file, '{"version":3,');

  expect((await expectFail('anchor', { SLUICE_ANCHOR_FILE: file })).text).toContain('damaged-anchor');
});

test('history that is pruned beyond us, and a participant that was put back', { timeout: 60_000 }, async () => {
  const { db } = scene.database;
  // Nobody moves the position while the doctor looks.
  await scene.service.stop();
  const node = scene.simnet.network.participant('participant1');
  const end = node.ledgerEnd();
  await sql`UPDATE ingestion_stream SET ledger_offset = ${end + 1_000n}`.execute(db);
  const back = await expectFail('ledger.position');
  expect(back.text).toContain('validator-restore');
  await sql`UPDATE ingestion_stream SET ledger_offset = 1`.execute(db);
  node.prune(end);
  await expectFail('ledger.pruning');
});
