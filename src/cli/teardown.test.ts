import { expect, test } from 'vitest';
import type { Logger } from '../env/logger.ts';
import { createTeardown } from './teardown.ts';

function collectingLogger(lines: string[]): Logger {
  const note = (message: string, fields: unknown = {}) => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  return { debug: note, info: note, warn: note, error: note, child: () => collectingLogger(lines) };
}

test('parts stop in the reverse order, and one that fails does not keep the others', async () => {
  const lines: string[] = [];
  const stopped: string[] = [];
  const teardown = createTeardown(collectingLogger(lines));
  teardown.add('database', () => {
    stopped.push('database');
  });
  teardown.add('workers', async () => {
    throw new Error('stuck');
  });
  teardown.add('server', () => {
    stopped.push('server');
  });

  await Promise.all([teardown.run(), teardown.run()]);

  expect(stopped).toEqual(['server', 'database']);
  expect(lines).toEqual(['A part did not stop cleanly. {"part":"workers","why":"stuck"}']);
});

test('what is being stopped has a name, also inside a part', async () => {
  const teardown = createTeardown(collectingLogger([]));
  const { promise, resolve } = Promise.withResolvers<void>();
  let inside: string | null = null;
  teardown.add(
    'service',
    () => promise,
    () => inside,
  );
  expect(teardown.current()).toBe(null);

  const running = teardown.run();
  expect(teardown.current()).toBe('service');
  inside = 'workers';
  expect(teardown.current()).toBe('workers');
  resolve();
  await running;

  expect(teardown.current()).toBe(null);
});
