/** The signer as a process of its own, with two keys that the ledger knows, so that one can be exchanged for the other. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signingKeyOf } from '../../src/custody/signing-key.ts';
import { type SluiceProcess, startSluice } from '../e2e/sluice-process.ts';
import type { ChaosNetwork } from './network.ts';

export type ChaosSigner = {
  /** As SLUICE_SIGNER_URL has it. */
  readonly url: string;
  readonly fingerprints: readonly string[];
  /** SIGKILL, and a new one on the same log. */
  kill(): Promise<void>;
  /** The same, and the new one has the other key. */
  rotate(): Promise<void>;
  stop(): Promise<void>;
};

export type SignerKeys = readonly [KeyObject, KeyObject];

export function newKeys(): SignerKeys {
  return [generateKeyPairSync('ed25519').privateKey, generateKeyPairSync('ed25519').privateKey];
}

/** SubjectPublicKeyInfo in base64. */
export function publicDer(key: KeyObject): string {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('base64');
}

export async function startSigner(keys: SignerKeys, network: ChaosNetwork): Promise<ChaosSigner> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-signer-'));
  const files = keys.map((key, index) => {
    const file = join(folder, `key-${index}.pem`);
    writeFileSync(file, key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    return file;
  });
  const rules = join(folder, 'rules.json');
  const known = network.instruments.map(({ admin, id }) => ({
    admin,
    id,
    implementation: id === 'Amulet' ? 'SPLICE_AMULET' : 'OTHER',
  }));
  writeFileSync(rules, JSON.stringify({ instruments: known, limits: [] }), { mode: 0o600 });
  const url = `unix:${folder}/signer.sock`;
  let inUse = 0;

  async function start(...more: readonly string[]): Promise<SluiceProcess> {
    const options = ['--key', files[inUse] ?? '', '--log', `${folder}/signer.log`, '--rules', rules, '--listen', url];
    const started = startSluice(['signer', ...options, ...more]);
    await started.waitFor(/^signs with 1220\w+/m, 60_000);
    return started;
  }
  let running = await start('--new-log');
  // It is in a group of its own, and would outlive us.
  const atExit = (): void => void running.child.kill('SIGKILL');
  process.once('exit', atExit);
  const kill = async (): Promise<void> => {
    running.child.kill('SIGKILL');
    await running.exited;
  };
  return {
    url,
    fingerprints: keys.map((key) => signingKeyOf(createPublicKey(key)).fingerprint),
    kill: async () => {
      await kill();
      running = await start();
    },
    rotate: async () => {
      await kill();
      inUse = 1 - inUse;
      running = await start();
    },
    stop: async () => {
      process.off('exit', atExit);
      await kill();
      rmSync(folder, { recursive: true });
    },
  };
}
