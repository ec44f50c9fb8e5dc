import { describe, expect, test } from 'vitest';
import type { Clock, Micros } from '../env/clock.ts';
import { createLastKnown, questionKey } from './last-known.ts';

const START: Micros = 1_795_305_600_000_000n;

/** Two clocks that are moved apart. */
function createHands() {
  const hands = { wall: START, elapsedMs: 5_000 };
  const clock: Clock = { nowMicros: () => hands.wall, sleep: async () => undefined, elapsedMs: () => hands.elapsedMs };
  return {
    clock,
    pass: (ms: number) => {
      hands.wall += BigInt(ms) * 1_000n;
      hands.elapsedMs += ms;
    },
    setWall: (byMs: number) => {
      hands.wall += BigInt(byMs) * 1_000n;
    },
    sleepMachine: (ms: number) => {
      hands.wall += BigInt(ms) * 1_000n;
    },
  };
}

const view = { epoch: 'e', head: 7n, isStandby: false, streams: [] };
const anybody = { name: 'anybody', client: 'anybody', scopes: new Set(['read']), reach: null, expiresAt: null };
type Somebody = Parameters<typeof questionKey>[0]['principal'];

function keyOf(question: string, principal: object = anybody, variables: Record<string, unknown> = {}) {
  // Whatever a principal is made of: the key must tell any two apart.
  return questionKey({ principal: principal as Somebody, document: question, operationName: null, variables });
}

describe('an age', () => {
  test('runs from before the rows were read', () => {
    const { clock, pass } = createHands();
    const lastKnown = createLastKnown({ clock });
    const moment = lastKnown.now();
    pass(300); // Reading the rows.
    lastKnown.keep(keyOf('q'), { data: { a: 1 }, moment, view });
    pass(1_000);

    expect(lastKnown.find(keyOf('q'))).toEqual({ data: { a: 1 }, view: { ...view, lastKnownMs: 1_300 } });
  });

  test.each([
    ['set back', -3_600_000, 2_000],
    ['set forward', 60_000, 62_000],
  ])('is never too small where the wall clock is %s', (_how, by, age) => {
    const { clock, pass, setWall } = createHands();
    const lastKnown = createLastKnown({ clock });
    lastKnown.keep(keyOf('q'), { data: {}, moment: lastKnown.now(), view });
    pass(2_000);
    setWall(by);

    expect(lastKnown.find(keyOf('q'))?.view.lastKnownMs).toBe(age);
  });

  test('has the time in it that the machine slept', () => {
    const { clock, sleepMachine } = createHands();
    const lastKnown = createLastKnown({ clock });
    lastKnown.keep(keyOf('q'), { data: {}, moment: lastKnown.now(), view });
    sleepMachine(40_000);

    expect(lastKnown.find(keyOf('q'))?.view.lastKnownMs).toBe(40_000);
  });

  test('ends: what is too old is not given any more', () => {
    const { clock, pass } = createHands();
    const lastKnown = createLastKnown({ clock, limits: { bytesMax: 1e6, ageMsMax: 10_000 } });
    lastKnown.keep(keyOf('q'), { data: {}, moment: lastKnown.now(), view });
    pass(10_000);
    expect(lastKnown.find(keyOf('q'))).not.toBeNull();
    pass(1);

    expect(lastKnown.find(keyOf('q'))).toBeNull();
    expect(lastKnown.stats()).toEqual({ count: 0, bytes: 0 });
  });

  test('is of the question that was asked last, though its answer came first', () => {
    const { clock, pass } = createHands();
    const lastKnown = createLastKnown({ clock });
    const first = lastKnown.now();
    pass(10);
    lastKnown.keep(keyOf('q'), { data: { of: 'second' }, moment: lastKnown.now(), view });
    lastKnown.keep(keyOf('q'), { data: { of: 'first' }, moment: first, view });

    expect(lastKnown.find(keyOf('q'))?.data).toEqual({ of: 'second' });
  });
});

describe('a key', () => {
  test('Z25: tells apart any two principals, whatever they differ in', () => {
    const principals: object[] = [
      anybody,
      { ...anybody, name: 'somebody' },
      { ...anybody, client: 'another' },
      { ...anybody, scopes: new Set(['read', 'operate']) },
      { ...anybody, scopes: new Set() },
      { ...anybody, reach: { kind: 'ACCOUNT', account: 'alice' } },
      { ...anybody, reach: { kind: 'ACCOUNT', account: 'bob' } },
      { ...anybody, reach: new Map([['account', 'alice']]) },
      { ...anybody, tenant: 1n },
      { ...anybody, tenant: 1 },
      { ...anybody, tenant: '1' },
    ];

    const keys = principals.map((principal) => keyOf('q', principal).question);

    expect(new Set(keys).size).toBe(principals.length);
  });

  test('is the same for a principal whose credential was renewed, and however its scopes are listed', () => {
    const scopes = ['read', 'operate'];
    const one = keyOf('q', { ...anybody, scopes: new Set(scopes), expiresAt: 1n });
    const other = keyOf('q', { ...anybody, scopes: new Set(scopes.reverse()), expiresAt: 2n });

    expect(one).toEqual(other);
  });

  test('tells apart documents, variables and names of operations', () => {
    const principal = anybody as unknown as Somebody;
    const keys = [
      keyOf('q'),
      keyOf('q '),
      keyOf('q', anybody, { id: '1' }),
      keyOf('q', anybody, { id: 1 }),
      keyOf('q', anybody, { id: null }),
      questionKey({ principal, document: 'q', operationName: 'id', variables: {} }),
    ];

    expect(new Set(keys.map(({ question }) => question)).size).toBe(keys.length);
    expect(keyOf('q', anybody, { a: 1, b: 2 })).toEqual(keyOf('q', anybody, { b: 2, a: 1 }));
  });
});

describe('memory', () => {
  const page = (line: number) => ({ line, text: 'x'.repeat(2_000) });

  test('has a bound, and what was answered last stays', () => {
    const { clock } = createHands();
    const bytesMax = 1_000_000;
    const lastKnown = createLastKnown({ clock, limits: { bytesMax, ageMsMax: 1e9 } });
    for (let line = 0; line < 5_000; line += 1) {
      const who = { ...anybody, name: `p${line % 50}` };
      lastKnown.keep(keyOf(`q${line}`, who), { data: page(line), moment: lastKnown.now(), view });
      expect(lastKnown.stats().bytes).toBeLessThanOrEqual(bytesMax);
    }

    expect(lastKnown.stats().count).toBeGreaterThan(100);
    for (const line of [4_999, 4_900]) {
      expect(lastKnown.find(keyOf(`q${line}`, { ...anybody, name: `p${line % 50}` }))?.data).toEqual(page(line));
    }
    expect(lastKnown.find(keyOf('q0', { ...anybody, name: 'p0' }))).toBeNull();
  });

  test('is not filled by one principal at the cost of the others', () => {
    const { clock } = createHands();
    const lastKnown = createLastKnown({ clock, limits: { bytesMax: 1_000_000, ageMsMax: 1e9 } });
    const quiet = { ...anybody, name: 'quiet' };
    lastKnown.keep(keyOf('q', quiet), { data: page(0), moment: lastKnown.now(), view });
    for (let line = 0; line < 5_000; line += 1) {
      lastKnown.keep(keyOf(`q${line}`), { data: page(line), moment: lastKnown.now(), view });
    }

    expect(lastKnown.find(keyOf('q', quiet))?.data).toEqual(page(0));
    expect(lastKnown.stats().bytes).toBeLessThan(550_000);
  });

  test('holds no answer that is larger than a page', () => {
    const { clock } = createHands();
    const lastKnown = createLastKnown({ clock });
    lastKnown.keep(keyOf('large'), { data: { text: 'x'.repeat(100_000) }, moment: lastKnown.now(), view });
    for (let line = 0; line < 20; line += 1) {
      lastKnown.keep(keyOf(`q${line}`), { data: page(line), moment: lastKnown.now(), view });
    }

    expect(lastKnown.find(keyOf('large'))).toBeNull();
    expect(lastKnown.find(keyOf('q0'))?.data).toEqual(page(0));
  });

  test('costs a question that is asked again and again one place', () => {
    const { clock, pass } = createHands();
    const lastKnown = createLastKnown({ clock });
    for (let line = 0; line < 100; line += 1) {
      pass(1);
      lastKnown.keep(keyOf('q'), { data: page(line), moment: lastKnown.now(), view });
    }

    expect(lastKnown.stats().count).toBe(1);
    expect(lastKnown.find(keyOf('q'))?.data).toEqual(page(99));
  });
});
