import { expect, test } from 'vitest';
import { PermanentError, RetryableError } from '../env/errors.ts';
import { ApprovalRefusal } from '../policy/approval-refusal.ts';
import { EXIT_CODES } from './exit-code.ts';
import { reportFailure } from './report-failure.ts';

test.each([
  [
    'what may pass by itself',
    new RetryableError('LOOP_EXHAUSTED', 'The event tail failed too often.'),
    EXIT_CODES.retry,
  ],
  ['an event log that was replaced', new PermanentError('EVENT_LOG_REPLACED', 'Another log.'), EXIT_CODES.retry],
  ['what somebody has to look at', new PermanentError('LISTEN_FAILED', 'The port is taken.'), EXIT_CODES.refused],
])('%s has its exit code', (_, error, { code }) => {
  const written: string[] = [];

  expect(reportFailure(error, (text) => written.push(text))).toBe(code);
  expect(written.join('')).toContain(error.code);
});

test('a refusal says what to do about it', () => {
  const written: string[] = [];

  expect(reportFailure(new ApprovalRefusal('INTENT_CHANGED'), (text) => written.push(text))).toBe(69);
  expect(written.join('')).toBe(
    'INTENT_CHANGED: It is not what you looked at.\n  Read it again with its `intentHash`, and decide about that.\n',
  );
});
