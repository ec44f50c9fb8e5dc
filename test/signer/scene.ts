/** A signer on a unix socket, as `sluice signer` starts it, and a service's client of it. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type KeyInUse, keyInProcess } from '../../src/custody/logged-signer.ts';
import type { SigningRequest } from '../../src/custody/signer.ts';
import { signingKeyOf } from '../../src/custody/signing-key.ts';
import type { Clock } from '../../src/env/clock.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import type { KitSubject } from '../../src/signer/kit/signer-kit.ts';
import { createRemoteSigner, type RemoteSigner } from '../../src/signer/remote-signer.ts';
import { CHECK_RULES, type SignerRules } from '../../src/signer/signer-rules.ts';
import type { Listening, SignerServer } from '../../src/signer/signer-server.ts';
import { type LogBeginning, startSigner } from '../../src/signer/signer-service.ts';
import { requestJson, SIGN_PATH } from '../../src/signer/wire.ts';

export const silent = createSystemLogger('silent');

export function newKey(type: 'ed25519' | 'P-256' = 'ed25519'): KeyInUse {
  const { publicKey, privateKey } =
    type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: type });
  return keyInProcess(signingKeyOf(publicKey), privateKey);
}

export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-signer-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export type SignerScene = {
  readonly directory: string;
  readonly logPath: string;
  readonly socketPath: string;
  readonly client: RemoteSigner;
  /** Every key it had: registered for every party. */
  readonly keys: KeyInUse[];
  start(change?: { key?: KeyInUse; rules?: SignerRules; beginning?: LogBeginning; clock?: Clock }): Promise<void>;
  stop(): Promise<void>;
  subject(): KitSubject;
};

/** Not started yet. */
export function signerScene(
  options: { key?: KeyInUse; rules?: SignerRules; clock?: Clock; listening?: Listening } = {},
): SignerScene {
  const directory = scratch();
  const logPath = join(directory, 'signer.log');
  const socketPath = join(directory, 'signer.sock');
  const keys = [options.key ?? newKey()];
  let server: SignerServer | null = null;
  const client = createRemoteSigner({
    address: { kind: 'UNIX', path: socketPath },
    registeredKeys: () => keys.map(({ shown }) => shown.fingerprint),
    clock: systemClock,
    random: systemRandom,
    timeoutMs: 5_000,
    tries: { attemptsMax: 2, delayMsMin: 1, delayMsMax: 5 },
  });
  const scene: SignerScene = {
    directory,
    logPath,
    socketPath,
    client,
    keys,
    start: async (change = {}) => {
      const { key, rules, beginning, clock } = change;
      if (key !== undefined) keys.push(key);
      server = await startSigner({
        key: keys.at(-1)!,
        logPath,
        beginning: beginning ?? 'FIRST',
        rules: rules ?? options.rules ?? CHECK_RULES,
        listening: options.listening ?? { kind: 'UNIX', path: socketPath, mode: 0o600 },
        clock: clock ?? options.clock ?? systemClock,
        logger: silent,
      });
    },
    stop: async () => {
      await server?.close();
      server = null;
    },
    subject: () => ({
      signer: client,
      clock: systemClock,
      random: systemRandom,
      rotate: async () => {
        await scene.stop();
        await scene.start({ key: newKey() });
      },
      restart: { stop: scene.stop, start: async () => await scene.start() },
      post: (body) => post(socketPath, JSON.stringify(body)),
      loseAnswer: (request) => loseAnswer(socketPath, request),
      isLimited: true,
    }),
  };
  onTestFinished(async () => {
    client.close();
    await scene.stop();
  });
  return scene;
}

/** @returns the answer, its body as text where it is no JSON. */
export function post(
  socketPath: string,
  body: string,
  { path = SIGN_PATH, method = 'POST', type = 'application/json' } = {},
): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ socketPath, path, method, headers: { 'content-type': type } }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: incoming.statusCode ?? 0, body: text.startsWith('{') ? JSON.parse(text) : text });
      });
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Writes the whole request and cuts the connection before an answer can be read. */
async function loseAnswer(socketPath: string, request: SigningRequest): Promise<void> {
  const body = JSON.stringify(requestJson(request));
  await new Promise<void>((resolve, reject) => {
    const socket = connect(socketPath);
    socket.on('error', reject);
    socket.on('close', () => resolve());
    const head = `POST ${SIGN_PATH} HTTP/1.1\r\nhost: signer\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    socket.end(head + body, () => socket.destroy());
  });
}
