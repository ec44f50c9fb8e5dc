import { expect, test } from 'vitest';
import type { Clock } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import { createSeededRandom } from '../env/random.ts';
import { createEndpointHealth } from './endpoint-health.ts';

function start(urls = ['a', 'b', 'c']) {
  let now = 1_000_000_000n;
  const clock: Clock = { nowMicros: () => now, sleep: async () => undefined };
  const health = createEndpointHealth({ urls, clock, random: createSeededRandom(1), switchAfterMs: 30_000 });
  return {
    health,
    pass: (seconds: number) => {
      now += BigInt(seconds * 1_000_000);
    },
    chosen: (preferred: string | null = null) => urls[health.choose(preferred)],
  };
}

const unavailable = (code = 'GRPC_UNAVAILABLE', grpcStatus = 'UNAVAILABLE') =>
  new RetryableError(code, 'It is away.', { grpcStatus });

test('the first named goes first, and rests longer each time it fails', () => {
  const { health, pass, chosen } = start();
  expect(chosen()).toBe('a');

  health.failed(0, unavailable());
  expect(chosen()).toBe('b');
  health.failed(1, unavailable());
  expect(chosen()).toBe('c');
  pass(2);
  // Both have rested; c has not failed at all.
  expect(chosen()).toBe('c');
  health.failed(2, unavailable());
  for (let count = 0; count < 6; count += 1) health.failed(0, unavailable());
  pass(10);
  expect(chosen()).toBe('b');
  health.succeeded(0);
  expect(chosen()).toBe('a');
});

test('where all rest, the one is used whose rest ends first', () => {
  const { health, chosen } = start(['a', 'b']);
  for (let count = 0; count < 5; count += 1) health.failed(0, unavailable());
  health.failed(1, unavailable());
  expect(chosen()).toBe('b');
});

test.each([
  ['A18: NODE_IS_PASSIVE_REPLICA', unavailable('NODE_IS_PASSIVE_REPLICA'), true],
  ['A18: UNIMPLEMENTED', unavailable('GRPC_UNIMPLEMENTED', 'UNIMPLEMENTED'), true],
  ['A18: INTERNAL, the storage is not active', unavailable('GRPC_INTERNAL', 'INTERNAL'), true],
  ['A9: too many streams', unavailable('MAXIMUM_NUMBER_OF_STREAMS', 'ABORTED'), true],
  ['A5: no connection', new RetryableError('CONNECT_TIMEOUT', 'None.'), true],
  ['A6: silence', new RetryableError('STREAM_STALLED', 'Nothing.'), true],
  ['A19: rights that changed', unavailable('STALE_STREAM_AUTHORIZATION', 'ABORTED'), false],
  ['an orderly end', new RetryableError('STREAM_ENDED', 'Ended.'), false],
  ['our own leaving', undefined, false],
  [
    'a mistake in the question',
    new PermanentError('INVALID_ARGUMENT', 'No.', { grpcStatus: 'INVALID_ARGUMENT' }),
    false,
  ],
])('%s: another endpoint next? %#', (_, error, isTrouble) => {
  const { health, chosen } = start();
  health.failed(0, error);
  expect(chosen()).toBe(isTrouble ? 'b' : 'a');
});

test('A17: a stream stays with its participant, whose offsets it has, until all endpoints of that one have failed for a while', () => {
  const { health, pass, chosen } = start();
  health.learned(0, 'one');
  health.learned(1, 'two');
  health.learned(2, 'one');
  expect(chosen('two')).toBe('b');
  expect(chosen('one')).toBe('a');

  health.failed(0, unavailable());
  expect(chosen('one')).toBe('c');
  health.failed(2, unavailable());
  // One of the two that rest, not the healthy stranger.
  expect(chosen('one')).not.toBe('b');
  pass(29);
  health.failed(0, unavailable());
  expect(chosen('one')).not.toBe('b');
  pass(2);
  health.failed(0, unavailable());
  health.failed(2, unavailable());
  expect(chosen('one')).toBe('b');
  // As soon as it is back it is preferred again.
  health.succeeded(2);
  expect(chosen('one')).toBe('c');
});

test('who was never asked may be ours, and is asked before a stranger; a participant that is gone for good is not waited for', () => {
  const { health, chosen } = start();
  health.learned(0, 'two');
  expect(chosen('one')).toBe('b');
  health.learned(1, 'two');
  expect(chosen('one')).toBe('c');
  health.learned(2, 'two');
  expect(chosen('one')).toBe('a');
});
