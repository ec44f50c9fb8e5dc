/** Goal: a signer in another process is as good as one in ours, and its socket gives nobody more than its protocol says. */
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { CHECK_ADMIN, OPEN_INSTRUMENT } from '../../src/signer/kit/check-transfer.ts';
import { createRequestMaker } from '../../src/signer/kit/kit-requests.ts';
import { parseRules } from '../../src/signer/signer-rules.ts';
import { REQUEST_BYTES_MAX, requestJson } from '../../src/signer/wire.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { describeSigner } from '../custody/signer-contract.ts';
import { newKey, post, signerScene } from './scene.ts';

const instruments = [{ admin: CHECK_ADMIN, id: OPEN_INSTRUMENT, implementation: 'UTILITY_REGISTRY' }];
const env = { clock: systemClock, random: systemRandom };

describeSigner('another process, Ed25519', async () => {
  const scene = signerScene();
  await scene.start();
  return scene.subject();
});

describeSigner('another process, P-256', async () => {
  const scene = signerScene({ key: newKey('P-256') });
  await scene.start();
  return scene.subject();
});

describe('the socket of a signer', () => {
  it('Z17: signs no bare hash, whatever it is posted as, and has no other path', async () => {
    const scene = signerScene();
    await scene.start();
    const { request } = createRequestMaker(scene.keys[0]!.shown.fingerprint, env);
    const honest = requestJson(request());
    const hash = honest.prepared.nodeHash;
    const bodies: unknown[] = [
      { hash },
      { ...honest, intent: undefined },
      { ...honest, prepared: { ...honest.prepared, preparedTransaction: hash } },
      { ...honest, intent: { ...honest.intent, kind: 'RAW' } },
      { ...honest, sign: hash },
      { ...honest, intent: { ...honest.intent, amount: '1e2' } },
      { ...honest, intent: { ...honest.intent, receiver: undefined } },
      { ...honest, attempt: '1' },
      { ...honest, recordTime: Number(honest.recordTime) },
      JSON.parse(JSON.stringify({ ...honest }).replace('"requestId"', '"__proto__"')),
    ];

    for (const body of bodies) {
      const answer = await post(scene.socketPath, JSON.stringify(body));
      expect(answer.status).toBe(422);
      expect(JSON.stringify(answer.body)).not.toContain('"signature"');
    }
    expect((await post(scene.socketPath, JSON.stringify({ hash }), { path: '/v1/sign-hash' })).status).toBe(404);
    expect((await post(scene.socketPath, '', { path: '/metrics', method: 'GET' })).status).toBe(404);
    expect((await post(scene.socketPath, '', { method: 'GET' })).status).toBe(405);
    expect((await post(scene.socketPath, hash, { type: 'text/plain' })).status).toBe(415);
    expect((await post(scene.socketPath, JSON.stringify(honest))).status).toBe(200);
  });

  it('is readable for its owner alone, in a directory where nobody else may put one', async () => {
    const scene = signerScene();
    await scene.start();
    expect(statSync(scene.socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(scene.logPath).mode & 0o777).toBe(0o600);
    await scene.stop();

    const open = join(scene.directory, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const unsafe = signerScene({ listening: { kind: 'UNIX', path: join(open, 'signer.sock'), mode: 0o600 } });
    await expect(unsafe.start()).rejects.toMatchObject({ code: 'SIGNER_SOCKET_UNSAFE' });
  });

  it('is not taken from a signer that lives, and is from one that died', async () => {
    const scene = signerScene();
    const live = createServer();
    await new Promise<void>((resolve) => live.listen(scene.socketPath, resolve));
    await expect(scene.start()).rejects.toMatchObject({ code: 'SIGNER_SOCKET_TAKEN' });
    await new Promise((resolve) => live.close(resolve));

    writeFileSync(scene.socketPath, 'not a socket');
    await expect(scene.start()).rejects.toMatchObject({ code: 'SIGNER_SOCKET_TAKEN' });
  });

  it('reads no more than a request may have', async () => {
    const scene = signerScene();
    await scene.start();
    const answer = await post(scene.socketPath, ' '.repeat(REQUEST_BYTES_MAX + 1)).catch(
      (error: Error) => error.message,
    );

    expect(answer).toMatchObject({ status: 413 });
    await scene.client.currentKey();
  });
});

describe('the rules of a signer', () => {
  const limits = (count: number, per = 'instrument') => ({
    instruments,
    limits: [{ instrument: '*', per, window: 'hour', count, sum: '1000' }],
  });

  it('Z19: hold whatever the service believes: count and sum, per instrument and receiver, over a restart', async () => {
    let now = systemClock.nowMicros();
    const clock = { ...systemClock, nowMicros: () => now };
    const scene = signerScene({ clock, rules: { ...parseRules(limits(3)), isCheck: true } });
    await scene.start();
    const pay = async (amount: string, names: string) => {
      const { request } = createRequestMaker(scene.keys[0]!.shown.fingerprint, { ...env, clock });
      const asked = request({
        inputs: [names],
        intent: {
          amount: parseAmount(amount),
          inputs: [{ contractId: `00${Buffer.from(names).toString('hex')}`, amount: parseAmount('5000') }],
        },
      });
      return await scene.client.sign(asked).then(
        () => 'signed',
        (error: { code: string }) => error.code,
      );
    };

    expect(await pay('600', 'a')).toBe('signed');
    expect(await pay('400.0000000001', 'b')).toBe('SIGNING_LIMIT');
    expect(await pay('400', 'c')).toBe('signed');
    expect(await pay('0.0000000001', 'd')).toBe('SIGNING_LIMIT');
    await scene.stop();
    await scene.start();
    expect(await pay('1', 'e')).toBe('SIGNING_LIMIT');
    now += 3_601_000_000n;
    for (const name of ['f', 'g', 'h']) expect(await pay('1', name)).toBe('signed');
    expect(await pay('1', 'i')).toBe('SIGNING_LIMIT');
    // A clock that is set back opens no window again.
    now -= 30n * 60_000_000n;
    expect(await pay('1', 'j')).toBe('SIGNING_LIMIT');
  });

  it('Z19: refuse another party, another instrument, a target too far, and what belongs to the check', async () => {
    const scene = signerScene();
    const { request } = createRequestMaker(scene.keys[0]!.shown.fingerprint, env);
    const outcome = async (rules: object, isCheck: boolean) => {
      await scene.start({ rules: { ...parseRules({ instruments, ...rules }), isCheck } });
      const result = await scene.client.sign(request()).then(
        () => 'signed',
        (error: { code: string }) => error.code,
      );
      await scene.stop();
      return result;
    };

    expect(await outcome({ limits: [] }, false)).toBe('SIGNING_POLICY');
    expect(await outcome({ limits: [], parties: ['treasury::1220'] }, true)).toBe('SIGNING_POLICY');
    expect(await outcome({ limits: [], targetSecondsMax: 60 }, true)).toBe('SIGNING_POLICY');
    const other = { instrument: { admin: 'a', id: 'b' }, per: 'receiver', window: 'day', count: 1 };
    expect(await outcome({ limits: [other] }, true)).toBe('SIGNING_POLICY');
    // Another implementation is another check; it is not for the service to choose.
    const [own] = instruments;
    expect(await outcome({ limits: [], instruments: [{ ...own, implementation: 'OTHER' }] }, true)).toBe(
      'SIGNING_POLICY',
    );
    expect(await outcome({ limits: [], instruments: [{ ...own, id: 'X' }] }, true)).toBe('SIGNING_POLICY');
    // The same name by another admin is another instrument.
    expect(await outcome({ limits: [], instruments: [{ ...own, admin: 'mallory::1220' }] }, true)).toBe(
      'SIGNING_POLICY',
    );
    expect(await outcome({ limits: [] }, true)).toBe('signed');
  });

  it.each([
    {},
    { limits: [] },
    { instruments: [], limits: [] },
    { instruments, limits: [{ instrument: '*', per: 'instrument', window: 'hour' }] },
    { instruments, limits: [{ instrument: '*', per: 'instrument', window: 'week', count: 1 }] },
    { instruments, limits: [], parties: [] },
    { instruments, limits: [], limit: 1 },
  ])('are refused when they are not understood: %j', (rules) => {
    expect(() => parseRules(rules)).toThrow(/not usable/);
  });
});
