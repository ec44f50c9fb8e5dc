/** `withdraw()` against the real server: however answers are lost and processes end, one wish to pay is one withdrawal, and its caller learns what became of it. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createMemoryKeyStore, type KeyStore, type WithdrawalInput } from '../../client/src/client.ts';
import { createFileKeyStore } from '../../client/src/file-key-store.ts';
import { systemClock } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import { INPUT } from '../support/withdrawal-api.ts';
import { type Scene, startScene } from './scene.ts';

const input: WithdrawalInput = INPUT;
let scene: Scene;
let folder: string;

beforeAll(async () => {
  scene = await startScene();
  folder = await mkdtemp(join(tmpdir(), 'sluice-keys-'));
});

afterAll(async () => {
  await scene.close();
  await rm(folder, { recursive: true, force: true });
});

/** Withdrawals stored under that key. */
async function storedUnder(key: string): Promise<number> {
  const rows = await scene
    .database()
    .db.selectFrom('withdrawal')
    .select('id')
    .where('idempotency_key', '=', key)
    .execute();
  return rows.length;
}

const storedInAll = async (): Promise<number> =>
  (await scene.database().db.selectFrom('withdrawal').select('id').execute()).length;

test('H5: where answers are lost the same key is asked again, and the answer says that it was stored before', async () => {
  const before = await storedInAll();
  let lost = 0;
  scene.proxy.cutAnswerTo((chunk) => chunk.includes('ClientWithdraw') && ++lost <= 3);

  const outcome = await scene.client().withdraw(input, { reference: 'order-1', keys: createMemoryKeyStore() });
  scene.proxy.cutAnswerTo(null);

  expect(outcome).toMatchObject({ kind: 'ACCEPTED', isReplayed: true, withdrawal: { amount: '12.5000000000' } });
  expect(scene.proxy.answersCut()).toBe(3);
  expect(await storedUnder(outcome.idempotencyKey)).toBe(1);
  expect(await storedInAll()).toBe(before + 1);
});

test('the key is kept before anything is sent, and where it cannot be kept nothing is', async () => {
  const before = await storedInAll();
  const refusing: KeyStore = { keep: async () => await Promise.reject(new Error('The disk is full.')) };

  await expect(scene.client().withdraw(input, { reference: 'order-2', keys: refusing })).rejects.toThrow(
    'disk is full',
  );

  expect(await storedInAll()).toBe(before);
});

test('H5: a process that ends before it has the answer is followed by one that finds the key and the same withdrawal', async () => {
  const before = await storedInAll();
  const giveUp = new AbortController();
  scene.proxy.cutAnswerTo((chunk) => chunk.includes('ClientWithdraw'));
  const first = scene
    .client()
    .withdraw(input, { reference: 'order-3', keys: createFileKeyStore(folder), signal: giveUp.signal })
    .catch((error: unknown) => error);
  await eventually(async () => expect(await storedInAll()).toBe(before + 1));
  giveUp.abort();
  expect(await first).toMatchObject({ code: 'OUTCOME_UNKNOWN', isRetryable: true });
  scene.proxy.cutAnswerTo(null);

  const second = await scene.client().withdraw(input, { reference: 'order-3', keys: createFileKeyStore(folder) });

  expect(second).toMatchObject({ kind: 'ACCEPTED', isReplayed: true });
  expect(await storedInAll()).toBe(before + 1);
});

test('Z37: many who ask for the same reference at once share one key and one withdrawal', async () => {
  const before = await storedInAll();

  const outcomes = await Promise.all(
    Array.from({ length: 8 }, async () =>
      scene.client().withdraw(input, { reference: 'order-4', keys: createFileKeyStore(folder) }),
    ),
  );

  expect(new Set(outcomes.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
  expect(outcomes.filter((outcome) => outcome.kind === 'ACCEPTED' && !outcome.isReplayed)).toHaveLength(1);
  expect(await storedInAll()).toBe(before + 1);
  // Nothing is left of the keys that were not kept.
  expect((await readdir(folder)).every((name) => /^[0-9a-f]{64}$/.test(name))).toBe(true);
});

test('refusals are values: of the input with its field, and of a reference that stands for something else', async () => {
  const client = scene.client();
  const keys = createMemoryKeyStore();
  await client.withdraw(input, { reference: 'order-5', keys });

  expect(await client.withdraw({ ...input, receiver: 'nobody' }, { reference: 'order-6', keys })).toMatchObject({
    kind: 'REFUSED',
    refusal: { __typename: 'WithdrawalInputError', code: 'RECEIVER_INVALID', retryable: false },
  });
  expect(await client.withdraw({ ...input, amount: '99' }, { reference: 'order-5', keys })).toMatchObject({
    kind: 'REFUSED',
    refusal: { __typename: 'IdempotencyKeyReusedError', code: 'IDEMPOTENCY_KEY_REUSED' },
  });
  // What was refused for its input was never stored: put right, the same reference is free.
  expect(await client.withdraw(input, { reference: 'order-6', keys })).toMatchObject({
    kind: 'ACCEPTED',
    isReplayed: false,
  });
});

test('while the server is away it waits, and asks again when it is back', async () => {
  await scene.proxy.refuse();
  const asked = scene.client().withdraw(input, { reference: 'order-7', keys: createMemoryKeyStore() });
  await systemClock.sleep(100);
  await scene.proxy.admit();

  expect(await asked).toMatchObject({ kind: 'ACCEPTED' });
});

test.each(['websocket', 'sse'] as const)('over %s it is followed to its end across cuts', async (transport) => {
  const client = scene.client({ transport });
  const outcome = await client.withdraw(input, { reference: `end-${transport}`, keys: createMemoryKeyStore() });
  if (outcome.kind !== 'ACCEPTED') throw new Error(outcome.refusal.code);
  const { withdrawalId } = outcome.withdrawal;

  const ended = client.untilFinal(withdrawalId);
  await eventually(() => expect(scene.proxy.connections()).toBeGreaterThan(0));
  scene.proxy.cut();
  await scene.cancel(withdrawalId);
  scene.proxy.cut();

  expect(await ended).toMatchObject({ withdrawalId, state: 'CANCELLED', isFinal: true });
  // Once it is final, that is what one who comes later hears.
  expect(await client.untilFinal(withdrawalId)).toMatchObject({ state: 'CANCELLED' });
});
