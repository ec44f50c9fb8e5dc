/**
 * Signals as an orderly end. The first one asks for it; a second one, or ten seconds, force it.
 *
 * Under npm one Ctrl-C arrives twice: the terminal sends SIGINT to the whole process group, and npm passes on the one it got. So what follows
 * within a moment of the first signal is its echo and not impatience.
 */
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import { EXIT_CODES } from './exit-code.ts';
import { createTeardown, type Teardown } from './teardown.ts';

export type Shutdown = {
  /** Aborts when the end is asked for, by a signal or by {@link Shutdown.request}. */
  readonly requested: AbortSignal;
  request(): void;
  readonly teardown: Teardown;
};

const DEADLINE_MS = 10_000; // Below the 30 s after which Kubernetes kills.
const ECHO_MS = 1_000; // npm's copy arrives within milliseconds; whoever is really impatient presses a third time.

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs a command that lasts until it is told to end, and undoes what it registered in `teardown`, however it ends.
 *
 * Embedded PostgreSQL survives neither way: cut short, its supervisor notices that we are gone and stops it.
 *
 * @throws what `work` threw, after everything was undone.
 */
export async function untilStopped(
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  work: (shutdown: Shutdown) => Promise<void>,
): Promise<void> {
  const requested = new AbortController();
  const settled = new AbortController();
  const teardown = createTeardown(logger);
  let requestedAt: bigint | null = null;

  const force = (why: string): never => {
    logger.error('The shutdown is cut short.', { why, waitingFor: teardown.current() ?? 'running work' });
    process.exit(EXIT_CODES.interrupted.code);
  };
  const request = (): void => {
    if (requestedAt !== null) return;
    requestedAt = clock.nowMicros();
    requested.abort();
    void clock.sleep(DEADLINE_MS, settled.signal).then(() => {
      if (!settled.signal.aborted) force(`${DEADLINE_MS / 1_000} seconds passed`);
    });
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    const isEcho = requestedAt !== null && clock.nowMicros() - requestedAt < BigInt(ECHO_MS) * 1_000n;
    if (isEcho) return;
    if (requestedAt !== null) force(`Another ${signal} came`);
    request();
  };

  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    await work({ requested: requested.signal, request, teardown });
  } finally {
    request(); // The deadline holds also for an end that nobody asked for.
    await teardown.run();
    settled.abort();
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

/** Resolves when `signal` aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
