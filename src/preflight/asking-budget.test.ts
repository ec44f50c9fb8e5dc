import { expect, test } from 'vitest';
import { createVirtualClock } from '../../test/support/clock.ts';
import { createAskingBudget } from './asking-budget.ts';

/** Looks that are let through of so many at once. */
function looked(budget: ReturnType<typeof createAskingBudget>, customer: string | null, count = 100): number {
  return Array.from({ length: count }, () => budget.take(customer)).filter((refused) => refused === null).length;
}

test('one customer who asks without end leaves the others, and the services, theirs', async () => {
  const clock = createVirtualClock();
  const budget = createAskingBudget({ clock, perSecond: 10 });
  expect(looked(budget, 'mallory')).toBe(3);
  expect(looked(budget, 'ann', 1)).toBe(1);

  let ofMallory = 0;
  let ofAnn = 0;
  for (let second = 0; second < 20; second++) {
    await clock.advance(1_000);
    ofMallory += looked(budget, 'mallory');
    ofAnn += looked(budget, 'ann', 1);
  }
  expect(ofAnn).toBe(20);
  expect(ofMallory).toBeLessThanOrEqual(20);
});

test('all customers together leave half of it to the services', () => {
  const budget = createAskingBudget({ clock: createVirtualClock(), perSecond: 10 });
  expect(
    Array.from({ length: 2_000 }, (_, index) => budget.take(`c${index}`)).filter((why) => why === null),
  ).toHaveLength(10);
  expect(looked(budget, null)).toBe(10);
});
