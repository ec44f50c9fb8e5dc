import { expect, test } from 'vitest';
import type { ErrorMasking } from './error-masking.ts';
import { answerOf } from './shared-answers.ts';

test('a kept answer holds the memory of its text, and not the page that the text was cut from', () => {
  const masking: ErrorMasking = { mask: (error) => error as never, format: ({ message }) => ({ message }) };
  const answer = answerOf({ data: { events: { eventId: 'x', memo: 'Grüße' } } }, masking);

  if (!(answer instanceof Buffer)) throw new Error('No text.');
  expect(JSON.parse(answer.toString('utf8'))).toEqual({ data: { events: { eventId: 'x', memo: 'Grüße' } } });
  expect(answer.buffer.byteLength).toBe(answer.length);
});
