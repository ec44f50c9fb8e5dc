/** Goal: the signer as it is run: a process of its own, killed and proven from outside, and the only one that has the key. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { ask, startServing, startSimnetProcess } from '../e2e/simnet-process.ts';
import { type SluiceProcess, startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { scratch } from './scene.ts';

const openssl = (...args: readonly string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });

function killed(running: SluiceProcess): SluiceProcess {
  onTestFinished(async () => {
    running.child.kill('SIGKILL');
    await running.exited;
  });
  return running;
}

function keyFile(directory: string, name = 'key.pem'): string {
  const path = join(directory, name);
  openssl('genpkey', '-algorithm', 'ed25519', '-out', path);
  chmodSync(path, 0o600);
  return path;
}

async function startSigner(args: readonly string[], environment: Record<string, string> = {}): Promise<SluiceProcess> {
  const signer = killed(startSluice(['signer', ...args], environment));
  await signer.waitFor(/^signs with (1220\w+)/m);
  return signer;
}

/** Runs it to its end. @returns its exit code and all it wrote. */
async function run(args: readonly string[]): Promise<{ code: number | null; said: string }> {
  const command = killed(startSluice(args));
  const { code } = await command.exited;
  return { code, said: command.stdout() + command.stderr() };
}

describe('sluice signer-check', () => {
  it('S1, S2, S8, Z17, Z19: finds the whole contract held by sluice signer, killed and rotated on the way', {
    timeout: 240_000,
  }, async () => {
    const directory = scratch();
    const socket = join(directory, 'signer.sock');
    const key = keyFile(directory);
    const other = keyFile(directory, 'other.pem');
    const start = join(directory, 'start.sh');
    const command = `exec ${process.execPath} src/main.ts signer --key ${key} --log ${directory}/signer.log --check --listen unix:${socket}`;
    writeFileSync(start, `#!/bin/sh\n${command} "$@" >/dev/null 2>&1 &\necho $! >${directory}/pid\n`, { mode: 0o700 });
    const stop = `kill -9 $(cat ${directory}/pid)`;
    onTestFinished(() => void execFileSync('/bin/sh', ['-c', `${stop} || true`], { stdio: 'ignore' }));
    execFileSync(start, ['--new-log']);
    await eventually(() => expect(existsSync(socket)).toBe(true), { deadlineMs: 20_000 });

    const rotate = `${stop}; cp ${other} ${key}; ${start}`;
    const check = await run(['signer-check', `unix:${socket}`, '--stop', stop, '--start', start, '--rotate', rotate]);

    expect(check.said).toMatch(/\n23 held, 0 broken, 0 left out/);
    expect(check.code).toBe(0);
  });

  it('says what a signer that forgets does not hold, and where nobody listens', { timeout: 240_000 }, async () => {
    const directory = scratch();
    const nobody = await run(['signer-check', `unix:${directory}/nobody.sock`]);
    expect(nobody).toMatchObject({ code: 75, said: expect.stringContaining('SIGNER_UNAVAILABLE') });

    const socket = join(directory, 'signer.sock');
    const service = [
      '--key',
      keyFile(directory),
      '--log',
      `${directory}/signer.log`,
      '--new-log',
      '--listen',
      `unix:${socket}`,
    ];
    const rules = join(directory, 'rules.json');
    writeFileSync(
      rules,
      JSON.stringify({ instruments: [{ admin: 'a', id: 'b', implementation: 'OTHER' }], limits: [] }),
    );
    // One in service signs nothing of the check: so it holds nothing of what has to be signed.
    await startSigner([...service, '--rules', rules]);
    const check = await run(['signer-check', `unix:${socket}`]);
    expect(check.code).toBe(1);
    expect(check.said).toMatch(/BROKEN {4}signs what was meant, verifiably/);
  });
});

describe('sluice signer', () => {
  it('starts with nothing that is not as it must be', { timeout: 240_000 }, async () => {
    const directory = scratch();
    const key = keyFile(directory);
    const listen = ['--listen', `unix:${directory}/signer.sock`];
    const log = ['--log', `${directory}/signer.log`];
    const checks = ['--check', ...listen, ...log];
    const open = join(directory, 'open.pem');
    copyFileSync(key, open);
    chmodSync(open, 0o640);
    const rsa = join(directory, 'rsa.pem');
    openssl('genpkey', '-algorithm', 'rsa', '-out', rsa);
    chmodSync(rsa, 0o600);
    const refusals: [readonly string[], RegExp][] = [
      [['--key', key, ...checks], /SIGNER_LOG_MISSING/],
      [['--key', open, ...checks, '--new-log'], /SIGNER_KEY_FILE.*others may read it/],
      [['--key', rsa, ...checks, '--new-log'], /SIGNER_KEY_FILE.*Ed25519, P-256 or P-384/],
      [['--key', key, ...listen, ...log, '--new-log'], /SIGNER_OPTIONS.*--rules/],
      [['--key', key, '--check', ...log, '--new-log', '--listen', '127.0.0.1:0'], /SIGNER_OPTIONS.*--tls-ca/],
      [[...checks, '--new-log'], /SIGNER_OPTIONS.*--key or --pkcs11/],
    ];
    const outcomes = await Promise.all(
      // A log of its own for each: they run at the same time.
      refusals.map(async ([args, said], index) => {
        const own = args.map((arg) => (arg === log[1] ? `${arg}.${index}` : arg));
        return { expected: said, ...(await run(['signer', ...own])) };
      }),
    );
    for (const refused of outcomes) {
      expect(refused.said).toMatch(refused.expected);
      expect(refused.said).not.toContain(readFileSync(key, 'utf8').split('\n')[1]);
    }

    await startSigner(['--key', key, ...checks, '--new-log']);
    const second = await run(['signer', '--key', key, '--check', ...log, '--listen', `unix:${directory}/second.sock`]);
    expect(second.said).toContain('SIGNER_LOG_SHARED');
  });

  it('Z34: speaks TLS with clients of its own authority alone, and is believed with a certificate of ours alone', {
    timeout: 240_000,
  }, async () => {
    const directory = scratch();
    const authority = (name: string): void => {
      openssl(
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        `${directory}/${name}.key`,
        '-out',
        `${directory}/${name}.crt`,
      );
    };
    const certificate = (name: string, ca: string): void => {
      openssl(
        'req',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        `${directory}/${name}.key`,
        '-out',
        `${directory}/${name}.csr`,
      );
      writeFileSync(`${directory}/${name}.ext`, 'subjectAltName=IP:127.0.0.1\n');
      openssl(
        'x509',
        '-req',
        '-in',
        `${directory}/${name}.csr`,
        '-CA',
        `${directory}/${ca}.crt`,
        '-CAkey',
        `${directory}/${ca}.key`,
        '-CAcreateserial',
        '-days',
        '2',
        '-extfile',
        `${directory}/${name}.ext`,
        '-out',
        `${directory}/${name}.crt`,
      );
    };
    for (const name of ['ours', 'theirs']) authority(name);
    certificate('server', 'ours');
    certificate('service', 'ours');
    certificate('stranger', 'theirs');
    const tls = (name: string, ca: string) => [
      '--tls-cert',
      `${directory}/${name}.crt`,
      '--tls-key',
      `${directory}/${name}.key`,
      '--tls-ca',
      `${directory}/${ca}.crt`,
    ];
    const log = ['--log', `${directory}/signer.log`, '--new-log'];
    const signer = await startSigner([
      '--key',
      keyFile(directory),
      ...log,
      '--check',
      '--listen',
      '127.0.0.1:0',
      ...tls('server', 'ours'),
    ]);
    const [, url = ''] = /at (https:\S+)/.exec(signer.stdout()) ?? [];

    expect((await run(['signer-check', url, ...tls('service', 'ours')])).said).toMatch(/21 held, 0 broken/);
    expect((await run(['signer-check', url, ...tls('stranger', 'ours')])).said).toContain('SIGNER_UNAVAILABLE');
    expect((await run(['signer-check', url, ...tls('service', 'theirs')])).said).toContain('SIGNER_UNAVAILABLE');
  });
});

const SOFTHSM = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/local/lib/softhsm/libsofthsm2.so'].find(existsSync);
if (SOFTHSM === undefined) process.stderr.write('SoftHSM is not installed: its tests are skipped.\n');

describe.skipIf(SOFTHSM === undefined)('a hardware module', () => {
  it.each(['ed25519', 'P-256'])(
    'S2, S8, Z17, Z18: signs as a file does, by the whole contract, with a key that stays inside: %s',
    { timeout: 240_000 },
    async (type) => {
      const directory = scratch();
      const conf = join(directory, 'softhsm2.conf');
      writeFileSync(conf, `directories.tokendir = ${directory}\nobjectstore.backend = file\nlog.level = ERROR\n`);
      const environment = { SOFTHSM2_CONF: conf };
      const util = (...args: readonly string[]): void =>
        void execFileSync('softhsm2-util', [...args, '--pin', '4321'], {
          env: { ...process.env, ...environment },
          stdio: 'pipe',
        });
      util('--init-token', '--free', '--label', 'treasury', '--so-pin', '87654321');
      for (const [index, label] of ['first', 'second'].entries()) {
        const pem = join(directory, `${label}.pem`);
        const curve = type === 'ed25519' ? [] : ['-pkeyopt', `ec_paramgen_curve:${type}`];
        openssl('genpkey', '-algorithm', type === 'ed25519' ? type : 'EC', ...curve, '-out', pem);
        util('--import', pem, '--token', 'treasury', '--label', label, '--id', `0${index + 1}`);
      }
      const pinFile = join(directory, 'pin');
      writeFileSync(pinFile, '4321\n', { mode: 0o600 });
      const socket = join(directory, 'signer.sock');
      const start = join(directory, 'start.sh');
      const module = `--pkcs11 ${SOFTHSM} --token-label treasury --pin-file ${pinFile}`;
      writeFileSync(
        start,
        `#!/bin/sh\nlabel=$1; shift\nSOFTHSM2_CONF=${conf} ${process.execPath} src/main.ts signer ${module} --key-label $label --log ${directory}/signer.log --check --listen unix:${socket} "$@" >/dev/null 2>&1 &\necho $! >${directory}/pid\n`,
        { mode: 0o700 },
      );
      const stop = `kill -9 $(cat ${directory}/pid)`;
      onTestFinished(() => void execFileSync('/bin/sh', ['-c', `${stop} || true`], { stdio: 'ignore' }));
      execFileSync(start, ['first', '--new-log']);
      await eventually(() => expect(existsSync(socket)).toBe(true), { deadlineMs: 20_000 });

      const check = await run([
        ...['signer-check', `unix:${socket}`, '--stop', stop, '--start', `${start} first`],
        ...['--rotate', `${stop}; ${start} second`],
      ]);
      expect(check.said).toMatch(/\n23 held, 0 broken, 0 left out/);

      const wrong = killed(
        startSluice(
          [
            'signer',
            ...module.split(' '),
            '--key-label',
            'third',
            '--log',
            `${directory}/other.log`,
            '--new-log',
            '--check',
            '--listen',
            `unix:${directory}/other.sock`,
          ],
          environment,
        ),
      );
      await wrong.exited;
      expect(wrong.stderr()).toContain('SIGNER_KEY_MISSING');
    },
  );
});

/** Whether these bytes stand anywhere in the memory of a process. Needs the right to read it. */
function holds(pid: number, needles: readonly Buffer[]): boolean {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    const regions = readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm);
    for (const [, from = '0', to = '0'] of regions) {
      const [start, end] = [BigInt(`0x${from}`), BigInt(`0x${to}`)];
      const chunk = Buffer.alloc(4 * 1024 * 1024);
      for (let at = start; at < end; at += BigInt(chunk.length - 256)) {
        let read = 0;
        try {
          read = readSync(
            memory,
            chunk,
            0,
            Number(end - at < BigInt(chunk.length) ? end - at : BigInt(chunk.length)),
            at,
          );
        } catch {
          break; // Reserved and never used: nothing stands there.
        }
        if (needles.some((needle) => chunk.subarray(0, read).includes(needle))) return true;
      }
    }
    return false;
  } finally {
    closeSync(memory);
  }
}

it.skipIf(process.platform !== 'linux')(
  'Z18: the service pays through a signer, and has no byte of the key in environment or memory; the signer has no database',
  { timeout: 240_000 },
  async () => {
    const simnet = await startSimnetProcess('--interval', '400', '--customers', '1');
    killed(simnet.process);
    const database = await createTestDatabase({ isMigrated: false });
    onTestFinished(() => database.close());
    const { SLUICE_DEV_SIGNER_SEED: hex = '', ...variables } = {
      ...simnet.variablesOf('participant1'),
      ...simnet.variablesOf('withdrawals'),
    };
    const seed = Buffer.from(hex, 'hex');
    const { fingerprint } = await createLocalSigner({ privateKey: ed25519PrivateKey(seed) }).currentKey();
    const directory = scratch();
    writeFileSync(join(directory, 'seed'), hex, { mode: 0o600 });
    const [, instrumentAdmin = '', instrumentId = ''] =
      /amulet=([^/]+)\/([^,]+)/.exec(variables['SLUICE_INSTRUMENTS'] ?? '') ?? [];
    writeFileSync(
      join(directory, 'rules.json'),
      JSON.stringify({
        instruments: [{ admin: instrumentAdmin, id: instrumentId, implementation: 'SPLICE_AMULET' }],
        limits: [{ instrument: '*', per: 'instrument', window: 'hour', count: 1 }],
      }),
    );
    const place = `unix:${directory}/signer.sock`;
    const signer = await startSigner([
      '--key',
      `${directory}/seed`,
      '--log',
      `${directory}/signer.log`,
      '--new-log',
      '--rules',
      `${directory}/rules.json`,
      '--listen',
      place,
    ]);
    await simnet.control('/tap', { instrument: 'amulet', owner: 'treasury', amount: '1000' });
    const service = await startServing(database, {
      ...variables,
      SLUICE_SIGNER_URL: place,
      SLUICE_SIGNER_KEYS: fingerprint,
    });
    killed(service.process);

    const create = async (idempotencyKey: string) =>
      await ask(
        service,
        `mutation ($input: CreateWithdrawalInput!) { createWithdrawal(input: $input) { __typename } }`,
        {
          input: {
            idempotencyKey,
            account: 'alice',
            instrumentAdmin,
            instrumentId,
            receiver: simnet.customers[0]!.party,
            amount: '10',
          },
        },
      );
    const until = async (key: string, state: string, code: string | null) =>
      await eventually(
        async () => {
          const { withdrawal } = await ask<{ withdrawal: unknown }>(
            service,
            'query ($key: String) { withdrawal(idempotencyKey: $key) { state failure { code } } }',
            { key },
          );
          expect(withdrawal).toEqual({ state, failure: code === null ? null : { code } });
        },
        { deadlineMs: 90_000, intervalMs: 200 },
      );
    await create('first');
    await until('first', 'COMPLETED', null);
    // Z19, S3: the service would pay on; the signer does not.
    await create('second');
    await until('second', 'FAILED', 'SIGNING_LIMIT');

    const needles = [seed, Buffer.from(hex), Buffer.from(seed.toString('base64').slice(0, 40))];
    const environmentOf = (pid: number): Buffer => readFileSync(`/proc/${pid}/environ`);
    expect(needles.some((needle) => environmentOf(service.process.pid).includes(needle))).toBe(false);
    expect(environmentOf(signer.pid).toString()).not.toContain('DATABASE_URL');
    if (!canRead(signer.pid)) return;
    expect(holds(signer.pid, needles)).toBe(true); // So the search finds it where it is.
    expect(holds(service.process.pid, needles)).toBe(false);
  },
);

function canRead(pid: number): boolean {
  try {
    closeSync(openSync(`/proc/${pid}/mem`, 'r'));
    return true;
  } catch {
    return false;
  }
}
