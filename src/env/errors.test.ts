import { expect, test } from 'vitest';
import { messageOf, RetryableError } from './errors.ts';

test('the message of an error can be stored, whatever others put into it', () => {
  const error = new RetryableError('REGISTRY_STATUS', 'said \0 and \ud800');
  expect(error.message).toBe('said \uFFFD and \uFFFD');
  expect(messageOf(new Error('also \0'))).toBe('also \uFFFD');
  expect(messageOf('thrown \0 as text')).toBe('thrown \uFFFD as text');
});

test('the message of an error is not as long as others like', () => {
  const long = '€'.repeat(1_000_000);
  expect(messageOf(new Error(long)).length).toBeLessThan(10_000);
  expect(new RetryableError('REGISTRY_STATUS', long).message.length).toBeLessThan(10_000);
});
