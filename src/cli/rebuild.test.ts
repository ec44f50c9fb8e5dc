import { expect, test } from 'vitest';
import type { Logger } from '../env/logger.ts';
import { systemClock } from '../env/system.ts';
import { allSinks } from './rebuild.ts';

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent, child: () => logger };

test('what is read late is told to the same sinks, in the same order, as what is read in time', () => {
  const names = allSinks({ clock: systemClock, environment: {} }, logger).map(({ name }) => name);
  expect(names).toEqual(['deposits', 'treasury', 'withdrawals', 'self-transfers', 'offers']);
});
