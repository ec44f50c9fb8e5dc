/** When what is found at rest counts: not where work began meanwhile, and always where it stays. */
import { expect, test } from 'vitest';
import { type Verdict, verdictOf } from './rest.ts';

/** A system that does, between two looks at it, what the next step says; it stands still when there are no more. */
function watch(steps: readonly (readonly string[])[], leak: readonly string[] = []): Promise<Verdict> {
  let step = 0;
  return verdictOf({
    rest: async () => ({ state: `step ${step}` }),
    check: async () => {
      const found = steps[step] ?? [];
      if (step < steps.length) step += 1;
      return [...found, ...leak];
    },
    state: async () => `step ${step}`,
  });
}

test('what was seen while work began is looked at again, and not forgotten', async () => {
  expect(await watch([['ten holdings reserved'], ['two holdings reserved'], []])).toEqual({
    violations: [],
    passing: ['ten holdings reserved', 'two holdings reserved'],
  });
});

test('what stays is a violation, however often work begins beside it', async () => {
  const steps = Array.from({ length: 5 }, (_, index) => [`work ${index}`]);

  expect((await watch(steps, ['a leak'])).violations).toEqual(['a leak']);
  expect((await watch([], ['a leak'])).violations).toEqual(['a leak']);
});

test('a system that never stands still is a violation of its own', async () => {
  const { violations } = await watch(Array.from({ length: 1_000 }, () => ['a leak']));

  expect(violations).toEqual([expect.stringMatching(/^Work began during each of \d+ checks/), 'a leak']);
});

test('what is never at rest is not checked, and what was seen before is told', async () => {
  let times = 0;
  const verdict = await verdictOf({
    rest: async () => (times === 0 ? { state: '0' } : { unrest: 'It did not come to rest' }),
    check: async () => {
      times += 1;
      return [`seen ${times}`];
    },
    state: async () => `${times}`,
  });

  expect(verdict).toEqual({ violations: ['It did not come to rest'], passing: ['seen 1'] });
});
