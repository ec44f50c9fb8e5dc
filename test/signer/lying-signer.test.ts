/** Goal: whatever answers in a signer's place, the service takes nothing but a signature of the registered key over its own hash; and asks for a lost answer with the very same request. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CustodyRefusal } from '../../src/custody/custody-refusal.ts';
import { SignerUnavailable, type TransferSignature } from '../../src/custody/signer.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createRequestMaker } from '../../src/signer/kit/kit-requests.ts';
import { createRemoteSigner, keysOfParties } from '../../src/signer/remote-signer.ts';
import { KEY_PATH, keysJson, SIGN_PATH, signatureJson } from '../../src/signer/wire.ts';
import { newKey, scratch, signerScene } from './scene.ts';

const env = { clock: systemClock, random: systemRandom };
const [own, foreign] = [newKey(), newKey()];
const requestOf = () => createRequestMaker(own.shown.fingerprint, env).request();

/** @param answer to a request to sign, in any way it likes. @returns a client that has `own` registered. */
async function clientOf(
  answer: (response: ServerResponse, body: { requestId: string }) => void | Promise<void>,
  {
    keys = keysJson(own.shown, [own.shown, foreign.shown]),
    timeoutMs = 500,
  }: { keys?: unknown; timeoutMs?: number } = {},
) {
  const seen: string[] = [];
  const server = createServer((incoming: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      if (incoming.url === KEY_PATH) return void response.end(JSON.stringify(keys));
      const text = Buffer.concat(chunks).toString();
      seen.push(text);
      void answer(response, JSON.parse(text));
    });
  });
  const path = join(scratch(), 'signer.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const client = createRemoteSigner({
    address: { kind: 'UNIX', path },
    registeredKeys: () => [own.shown.fingerprint],
    ...env,
    timeoutMs,
    tries: { attemptsMax: 3, delayMsMin: 1, delayMsMax: 5 },
  });
  onTestFinished(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return { client, seen, path };
}

async function signed(hash: Uint8Array, key = own): Promise<TransferSignature> {
  const { algorithm, fingerprint } = key.shown;
  return { format: 'CONCAT', algorithm, signedBy: fingerprint, signature: await key.sign(hash), hash };
}
const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, index) => (index === 7 ? byte ^ 1 : byte));

describe('S6: an answer that is no signature of ours', () => {
  const lies: Record<string, (honest: TransferSignature) => TransferSignature | Promise<TransferSignature>> = {
    'a corrupt signature': (honest) => ({ ...honest, signature: flipped(honest.signature) }),
    'a signature of another hash': async (honest) => await signed(flipped(honest.hash)),
    'a signature of another hash, said to be of ours': async (honest) => ({
      ...(await signed(flipped(honest.hash))),
      hash: honest.hash,
    }),
    'a signature by a key that is not registered': async (honest) => await signed(honest.hash, foreign),
    'a foreign key under the name of ours': async (honest) => ({
      ...(await signed(honest.hash, foreign)),
      signedBy: own.shown.fingerprint,
    }),
    'another format': (honest) => ({ ...honest, format: 'DER' }),
    'another algorithm': (honest) => ({ ...honest, algorithm: 'EC_DSA_SHA_256' }),
  };

  it.each(Object.entries(lies))('S6: is refused for good: %s', async (_, lie) => {
    const request = requestOf();
    const honest = await signed(request.prepared.nodeHash);
    const lied = await lie(honest);
    const { client } = await clientOf(
      (response, { requestId }) => void response.end(JSON.stringify(signatureJson(requestId, lied))),
    );

    await expect(client.sign(request)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID', retryable: false });
  });

  it('S6: is refused when the signer shows another key than the one it names', async () => {
    const lie = { ...keysJson(foreign.shown, [foreign.shown]), current: own.shown.fingerprint };
    lie.keys[0]!.fingerprint = own.shown.fingerprint;
    const { client } = await clientOf(
      async (response, { requestId }) => {
        response.end(
          JSON.stringify(
            signatureJson(requestId, {
              ...(await signed(request.prepared.nodeHash, foreign)),
              signedBy: own.shown.fingerprint,
            }),
          ),
        );
      },
      { keys: lie },
    );
    const request = requestOf();

    await expect(client.sign(request)).rejects.toBeInstanceOf(SignerUnavailable);
    await expect(client.currentKey()).rejects.toBeInstanceOf(SignerUnavailable);
  });

  it('S6: takes only what is registered for the party: its namespace, and what the configuration adds', () => {
    const keys = keysOfParties([`1220${'a'.repeat(64)}`]);
    expect(keys(`treasury::1220${'b'.repeat(64)}`)).toEqual([`1220${'a'.repeat(64)}`, `1220${'b'.repeat(64)}`]);
    expect(keys('no party')).toEqual([`1220${'a'.repeat(64)}`]);
  });
});

describe('S1: no answer', () => {
  const silences: Record<string, (response: ServerResponse, requestId: string) => void> = {
    'never comes': () => undefined,
    'comes one byte at a time': (response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write(' '), 50);
      onTestFinished(() => clearInterval(drip));
    },
    'is cut off': (response) => {
      response.writeHead(200, { 'content-length': '500' });
      response.write('{"requestId"');
      setTimeout(() => response.destroy(), 20);
    },
    'is an error of another kind': (response) => void response.writeHead(500).end('<html>'),
    'is a success without content': (response) => void response.end('{}'),
    'is about another request': (response) =>
      void response.end(
        JSON.stringify({
          ...signatureJson('other', {
            format: 'CONCAT',
            algorithm: 'ED25519',
            signedBy: own.shown.fingerprint,
            signature: new Uint8Array(64),
            hash: new Uint8Array(32),
          }),
        }),
      ),
    'is without end': (response) => void response.end(Buffer.alloc(1_000_000, 'x')),
    'is a refusal nobody knows': (response) =>
      void response
        .writeHead(422)
        .end(JSON.stringify({ error: { kind: 'REFUSED', code: 'MADE_UP', message: '', at: '' } })),
    'is a refusal that came with a fault of the server': (response) =>
      void response
        .writeHead(500)
        .end(JSON.stringify({ error: { kind: 'REFUSED', code: 'SIGNING_POLICY', message: '', at: '' } })),
    'is to wait for people': (response) =>
      void response
        .writeHead(503)
        .end(JSON.stringify({ error: { kind: 'UNAVAILABLE', code: 'SIGNATURE_PENDING', message: '' } })),
  };

  it.each(Object.entries(silences))(
    'S1: is asked for again with the very same request, and then later: it %s',
    async (_, answer) => {
      const { client, seen } = await clientOf((response, { requestId }) => answer(response, requestId), {
        timeoutMs: 300,
      });
      const failure = await client.sign(requestOf()).catch((error: unknown) => error);

      expect(failure).toBeInstanceOf(SignerUnavailable);
      expect(failure).toMatchObject({ retryable: true });
      expect(seen).toHaveLength(3);
      expect(new Set(seen).size).toBe(1);
    },
  );

  it('S1: nobody is there', async () => {
    const scene = signerScene();
    await expect(scene.client.sign(requestOf())).rejects.toBeInstanceOf(SignerUnavailable);
    await expect(scene.client.currentKey()).rejects.toBeInstanceOf(SignerUnavailable);
  });
});

describe('S2: a lost answer', () => {
  it('S2: is given again: one signature in the log, whichever answers were lost', async () => {
    const scene = signerScene({ key: newKey('P-256') }); // No two signatures of ECDSA are the same.
    await scene.start();
    let answers = 0;
    const lossy = createServer((incoming, response) => {
      const outgoing = httpRequest(
        { socketPath: scene.socketPath, path: incoming.url!, method: incoming.method!, headers: incoming.headers },
        (answer) => {
          answers += 1;
          if (incoming.url === SIGN_PATH && answers <= 2)
            return void answer.resume().on('end', () => response.destroy());
          response.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(response);
        },
      );
      incoming.pipe(outgoing);
    });
    const path = join(scene.directory, 'lossy.sock');
    await new Promise<void>((resolve) => lossy.listen(path, resolve));
    onTestFinished(() => void lossy.close());
    const key = scene.keys[0]!.shown;
    const client = createRemoteSigner({
      address: { kind: 'UNIX', path },
      registeredKeys: () => [key.fingerprint],
      ...env,
      tries: { attemptsMax: 3, delayMsMin: 1, delayMsMax: 5 },
    });
    onTestFinished(client.close);
    const request = createRequestMaker(key.fingerprint, env).request();

    const first = await client.sign(request);
    expect(answers).toBeGreaterThanOrEqual(3);
    expect(await scene.client.sign(request)).toEqual(first);
    await scene.stop();
    await scene.start();
    expect(await scene.client.sign(request)).toEqual(first);
  });

  it('S3: a refusal after a lost answer is no proof that nothing was signed', async () => {
    let asked = 0;
    const refusal = JSON.stringify({
      error: { kind: 'REFUSED', code: 'SIGNING_POLICY', message: 'No.', at: 'intent' },
    });
    const { client } = await clientOf((response) => {
      asked += 1;
      if (asked === 1) response.destroy();
      else response.writeHead(422).end(refusal);
    });
    await expect(client.sign(requestOf())).rejects.toBeInstanceOf(SignerUnavailable);
    const { client: honest } = await clientOf((response) => void response.writeHead(422).end(refusal));
    await expect(honest.sign(requestOf())).rejects.toBeInstanceOf(CustodyRefusal);
  });
});
