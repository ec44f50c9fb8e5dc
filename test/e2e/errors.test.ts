/** What a person sees who made a mistake: one clear answer, all faults at once, no stack trace, and an exit code to act on. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { printConfigTable } from '../../src/config/describe.ts';
import { parsePolicy } from '../../src/policy/policy-document.ts';
import { PROJECT, startSluice } from './sluice-process.ts';

async function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const sluice = startSluice(args, environment);
  const { code } = await sluice.exited;
  return { code, stdout: sluice.stdout(), stderr: sluice.stderr() };
}

test('a wrong configuration is told with all its faults at once', async () => {
  const { code, stdout, stderr } = await run(['serve'], {
    SLUICE_LEDGER_URL: 'localhost:5001',
    SLUICE_PORT: 'http',
    SLUICE_TREASURY_PARTY: 'x',
    DATABASE_URL: 'mysql://root:hunter2@localhost/x',
  });

  expect(code).toBe(EXIT_CODES.config.code);
  expect(stdout).toBe('');
  for (const fault of [
    /SLUICE_TREASURY_PARTY is not known: did you mean SLUICE_TREASURY_PARTIES\?/,
    /DATABASE_URL: expected/,
    /SLUICE_LEDGER_URL: expected .* got "localhost:5001"/,
    /SLUICE_NETWORK is required/,
    /SLUICE_TREASURY_PARTIES is required/,
    /SLUICE_INSTRUMENTS is required/,
    /SLUICE_PORT: expected .* got "http"/,
  ]) {
    expect(stderr).toMatch(fault);
  }
  expect(stderr).not.toMatch(/hunter2| at .*\.ts:/);
});

test.each([
  { what: 'an unknown command', args: ['serv'], answer: /unknown command 'serv'/ },
  { what: 'an unknown option', args: ['serve', '--fast'], answer: /unknown option '--fast'/ },
  {
    what: 'an unknown scope',
    args: ['key', 'new', 'risk', '--scopes', 'all'],
    answer: /read, subscribe, deposits, desk, withdrawals, books, approve, operate/,
  },
  {
    what: 'a key without a name',
    args: ['key', 'new', '--scopes', 'read'],
    answer: /missing required argument 'name'/,
  },
])('$what is a usage error', async ({ args, answer }) => {
  const { code, stderr } = await run(args);

  expect(code).toBe(EXIT_CODES.usage.code);
  expect(stderr).toMatch(answer);
  expect(stderr).not.toMatch(/ at .*\.ts:/);
});

test('a policy that is not there, or no JSON, is no fault of Sluice', async () => {
  const environment = { SLUICE_NETWORK: 'simnet', DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' };
  const { code, stderr } = await run(['policy', 'propose', '/not/there.json', '--why', 'a test'], environment);

  expect(code).toBe(EXIT_CODES.refused.code);
  expect(stderr).toMatch(/^POLICY_FILE: .*ENOENT/);
  expect(stderr).not.toMatch(/ at .*\.ts:/);
  expect(() => parsePolicy('{ "rules": 1')).toThrow(/is no JSON/);
});

test('a key is made for the server that is to know it', async () => {
  const made = await run(['key', 'new', 'risk', '--scopes', 'read+subscribe']);
  const [, key = '', entry = ''] =
    /\n {2}(sluice_\S{43})\n[^\n]*\n {2}(risk:read\+subscribe:[0-9a-f]{64})\n/.exec(made.stdout) ?? [];
  expect(made.code).toBe(EXIT_CODES.done.code);
  expect(entry).not.toBe('');

  const shown = await run(['config', '--json'], {
    SLUICE_LEDGER_URL: 'http://127.0.0.1:1',
    SLUICE_NETWORK: 'n',
    SLUICE_TREASURY_PARTIES: 'a::12',
    SLUICE_INSTRUMENTS: 'CC=b::12/Amulet',
    SLUICE_API_KEYS: entry,
  });

  expect(shown.code).toBe(EXIT_CODES.done.code);
  expect(JSON.parse(shown.stdout)).toMatchObject({
    apiKeys: [{ name: 'risk', scopes: ['read', 'subscribe'], sha256: '[secret]' }],
  });
  expect(shown.stdout).not.toContain(key);
});

test('the README has the variables and the exit codes that there are', async () => {
  const readme = await readFile(join(PROJECT, 'README.md'), 'utf8');

  expect(readme).toContain(printConfigTable());
  for (const { code, meaning } of Object.values(EXIT_CODES)) expect(readme).toContain(`| ${code} | ${meaning} |`);
});
