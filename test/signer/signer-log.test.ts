/** Goal: what was signed is known after any crash, and a log that somebody touched signs nothing. */
import { appendFileSync, copyFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { KeyInUse } from '../../src/custody/logged-signer.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createRequestMaker } from '../../src/signer/kit/kit-requests.ts';
import { createLog, openLog } from '../../src/signer/signer-log.ts';
import { CHECK_RULES } from '../../src/signer/signer-rules.ts';
import { newKey, type SignerScene, signerScene } from './scene.ts';

const env = { clock: systemClock, random: systemRandom };

/** A signer that signed `count` requests, and stopped. */
async function signedScene(count: number) {
  const scene = signerScene();
  await scene.start();
  const { request } = createRequestMaker(scene.keys[0]!.shown.fingerprint, env);
  const requests = Array.from({ length: count }, (_, index) => request({ submissionId: `s-${index}` }));
  const signatures = await Promise.all(requests.map((asked) => scene.client.sign(asked)));
  await scene.stop();
  return { scene, requests, signatures };
}

const restart = async (scene: SignerScene) => await scene.start({ beginning: 'MISSING_IS_A_FAULT' });

describe('the log of a signer', () => {
  it('S2: has every signature before it leaves, however many at once, and gives each again', async () => {
    const { scene, requests, signatures } = await signedScene(25);
    const { past, cutBytes, close } = await openLog(scene.logPath);
    await close();

    expect(past.map(({ requestId }) => requestId).sort()).toEqual(requests.map(({ requestId }) => requestId).sort());
    expect(cutBytes).toBe(0);
    await restart(scene);
    expect(await Promise.all(requests.map((asked) => scene.client.sign(asked)))).toEqual(signatures);
  });

  it('is cut off behind its last whole line, wherever the write was torn', async () => {
    const { scene, requests, signatures } = await signedScene(2);
    const whole = readFileSync(scene.logPath);
    const lastLine = whole.lastIndexOf('\n', whole.length - 2) + 1;
    for (const keep of [lastLine + 1, lastLine + 40, whole.length - 1]) {
      writeFileSync(scene.logPath, whole.subarray(0, keep));
      await restart(scene);
      expect(statSync(scene.logPath).size).toBe(lastLine);
      expect(await scene.client.sign(requests[0]!)).toEqual(signatures[0]);
      await scene.stop();
    }
    // Torn within a character of several bytes, and with nothing readable at all.
    for (const tail of [Buffer.from([0xf0, 0x9f, 0x98]), Buffer.alloc(5_000)]) {
      writeFileSync(scene.logPath, Buffer.concat([whole, tail]));
      await restart(scene);
      expect(statSync(scene.logPath).size).toBe(whole.length);
      await scene.stop();
    }
  });

  it('refuses to start where anything else was changed, and says which line', async () => {
    const { scene } = await signedScene(3);
    const text = readFileSync(scene.logPath, 'utf8');
    const lines = text.trimEnd().split('\n');
    const without = (index: number) => `${lines.filter((_, at) => at !== index).join('\n')}\n`;
    const damaged: [string, number][] = [
      [without(0), 1],
      [without(2), 3],
      [`${[lines[0], lines[2], lines[1], ...lines.slice(3)].join('\n')}\n`, 2],
      [text.replace('signer check', 'signer chack'), 3],
      [`${text}${lines.at(-1)}\n`, lines.length + 1],
      [`${text}\n`, lines.length + 1],
      [`${text}${'x'.repeat(300_000)}`, lines.length + 1],
      [`${lines.slice(0, -1).join('\n')}\n${lines.at(-1)?.replace('"n":', '"n": ')}\n`, lines.length],
      [text.replace('\n', '\r\n'), 1],
    ];
    for (const [content, line] of damaged) {
      writeFileSync(scene.logPath, content);
      await expect(restart(scene)).rejects.toMatchObject({ code: 'SIGNER_LOG_CORRUPT', facts: { line } });
    }
    writeFileSync(scene.logPath, '');
    await expect(restart(scene)).rejects.toMatchObject({ code: 'SIGNER_LOG_CORRUPT' });
  });

  it('takes no request of which it could not read again what it keeps', async () => {
    const scene = signerScene();
    await scene.start();
    const { request } = createRequestMaker(scene.keys[0]!.shown.fingerprint, env);
    const metaOf = (count: number) =>
      new Map(Array.from({ length: count }, (_, index) => [`key-${index}`, '"\u0001'.repeat(4_000)] as const));
    const [small, large] = [
      request({ submissionId: 'small', intent: { meta: metaOf(2) } }),
      request({ submissionId: 'large', intent: { meta: metaOf(40) } }),
    ];
    expect((await scene.client.sign(small)).signature).toHaveLength(64);
    await expect(scene.client.sign(large)).rejects.toMatchObject({ code: 'SIGNING_REQUEST_INVALID' });
    await scene.stop();

    await restart(scene);
    expect((await scene.client.sign(request())).signature).toHaveLength(64);
  });

  it('has a payout counted whose first signature could not be made', async () => {
    const whole = newKey();
    let failures = 1;
    const flaky: KeyInUse = {
      shown: whole.shown,
      sign: async (hash) => {
        failures -= 1;
        if (failures >= 0) throw new Error('The token was taken out.');
        return await whole.sign(hash);
      },
    };
    const scene = signerScene({ key: flaky });
    await scene.start();
    // The client asks a second time by itself.
    await scene.client.sign(createRequestMaker(whole.shown.fingerprint, env).request());
    await scene.stop();

    const { past, close } = await openLog(scene.logPath);
    await close();
    expect(past.map(({ isCounted }) => isCounted)).toEqual([true]);
  });

  it('is not begun unasked, and not over one that is there', async () => {
    const scene = signerScene();
    await expect(restart(scene)).rejects.toMatchObject({ code: 'SIGNER_LOG_MISSING' });
    const times = { openedAt: 0n, signsFrom: 0n };
    await createLog(scene.logPath, times);
    await expect(createLog(scene.logPath, times)).rejects.toMatchObject({ code: 'SIGNER_LOG_EXISTS' });
  });

  it('that replaces a lost one signs nothing until everything the lost one knew of is past its target', async () => {
    let now = systemClock.nowMicros();
    const clock = { ...systemClock, nowMicros: () => now };
    const scene = signerScene({ clock, rules: { ...CHECK_RULES, targetSecondsMax: 600n } });
    await scene.start({ beginning: 'LOST' });
    const ask = () =>
      scene.client.sign(createRequestMaker(scene.keys[0]!.shown.fingerprint, { ...env, clock }).request());

    await expect(ask()).rejects.toMatchObject({ code: 'SIGNER_UNAVAILABLE', retryable: true });
    now += 599_000_000n;
    await scene.stop();
    await scene.start({ beginning: 'LOST' });
    await expect(ask()).rejects.toMatchObject({ code: 'SIGNER_UNAVAILABLE' });
    now += 1_000_000n;
    expect((await ask()).signature).toHaveLength(64);
  });

  it('stops signing when somebody else writes to it, and when it cannot be written', async () => {
    const { scene } = await signedScene(1);
    await restart(scene);
    const { request } = createRequestMaker(scene.keys[0]!.shown.fingerprint, env);
    copyFileSync(scene.logPath, `${scene.logPath}.copy`);
    appendFileSync(scene.logPath, 'another\n');
    const asked = request();
    await expect(scene.client.sign(asked)).rejects.toMatchObject({ code: 'SIGNER_UNAVAILABLE' });
    // And stays so: what was half written may not be written over.
    truncateSync(scene.logPath, statSync(`${scene.logPath}.copy`).size);
    await expect(scene.client.sign(request())).rejects.toMatchObject({ code: 'SIGNER_UNAVAILABLE' });
    await scene.stop();
    await restart(scene);
    expect((await scene.client.sign(asked)).signature).toHaveLength(64);
  });

  it('forgets what no ledger takes any more, and refuses it all the same', async () => {
    let now = systemClock.nowMicros();
    const clock = { ...systemClock, nowMicros: () => now };
    const scene = signerScene({ clock });
    await scene.start();
    const asked = createRequestMaker(scene.keys[0]!.shown.fingerprint, { ...env, clock }).request();
    await scene.client.sign(asked);
    await scene.stop();
    now += 8n * 86_400_000_000n;
    await scene.start();

    await expect(scene.client.sign(asked)).rejects.toMatchObject({ code: 'INTENT_TIME' });
  });
});
