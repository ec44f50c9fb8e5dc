import { expect, test } from 'vitest';
import type { Workers } from '../../src/cli/service-workers.ts';
import { superviseWorkers } from '../../src/cli/worker-supervisor.ts';
import { PermanentError, RetryableError } from '../../src/env/errors.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { createVirtualClock } from '../support/clock.ts';

const away = new RetryableError('GRPC_UNAVAILABLE', 'The participant is away.');

function start() {
  const clock = createVirtualClock();
  const log: string[] = [];
  const lives: { fail: (error: unknown) => void }[] = [];
  let refusal: Error | null = null;
  const begin = (): Workers => {
    const { promise: failed, resolve: fail } = Promise.withResolvers<unknown>();
    const name = `life ${lives.push({ fail })}`;
    log.push(`${name} begins`);
    return {
      failed,
      stop: async () => {
        log.push(`${name} stopped`);
      },
      stopping: () => null,
    };
  };
  const workers = superviseWorkers(
    begin(),
    async () => {
      if (refusal !== null) throw refusal;
      return begin();
    },
    { clock, logger: createSystemLogger('silent') },
  );
  const failures: unknown[] = [];
  void workers.failed.then((error) => failures.push(error));
  return {
    clock,
    workers,
    log,
    failures,
    fail: (error: unknown) => lives.at(-1)?.fail(error),
    refuse: (error: Error | null) => {
      refusal = error;
    },
  };
}

test('workers that gave up are taken down and begin anew after a pause that grows; the process goes on', async () => {
  const { clock, log, fail, failures, workers } = start();
  fail(away);
  await clock.advance(999);
  expect(log).toEqual(['life 1 begins', 'life 1 stopped']);
  await clock.advance(1);
  expect(log.at(-1)).toBe('life 2 begins');

  fail(away);
  await clock.advance(1_999);
  expect(log.at(-1)).toBe('life 2 stopped');
  await clock.advance(1);
  expect(log.at(-1)).toBe('life 3 begins');
  // It lasted: the next pause is a short one again.
  await clock.advance(11 * 60_000);
  fail(away);
  await clock.advance(1_000);
  expect(log.at(-1)).toBe('life 4 begins');

  await workers.stop();
  expect(log.at(-1)).toBe('life 4 stopped');
  expect(failures).toEqual([]);
});

test('a start that may succeed later is tried again; one that cannot ends the process', async () => {
  const { clock, log, fail, failures, refuse, workers } = start();
  refuse(new RetryableError('DB_UNAVAILABLE', 'The database is away.'));
  fail(away);
  await clock.advance(10_000);
  expect(failures).toEqual([]);

  const foreign = new PermanentError('MIGRATION_PENDING', 'Another version has been here.');
  refuse(foreign);
  await clock.advance(60_000);
  expect(failures).toEqual([foreign]);
  await workers.stop();
  expect(log).toEqual(['life 1 begins', 'life 1 stopped']);
});

test('what no restart mends ends the process', async () => {
  const { clock, fail, failures, workers, log } = start();
  const fault = new PermanentError('ASSERTION_FAILED', 'A fault.');
  fail(fault);
  await clock.advance(0);
  expect(failures).toEqual([fault]);
  await workers.stop();
  expect(log).toEqual(['life 1 begins', 'life 1 stopped']);
});

test('stopping does not wait for a pause, and leaves nothing that sleeps', async () => {
  const { clock, fail, workers, log } = start();
  fail(away);
  await clock.advance(10);
  await workers.stop();
  expect(log).toEqual(['life 1 begins', 'life 1 stopped']);
  expect(clock.sleepersCount()).toBe(0);
});
