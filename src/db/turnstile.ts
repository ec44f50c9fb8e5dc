/** Lets a bounded number of pieces of work run at the same time; the others wait their turn, first come first served. */
export type Turnstile = {
  /** @returns what `work` returns, or null, without having begun it, when `signal` aborted before its turn came. */
  pass<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | null>;
};

export function createTurnstile(runningMax: number): Turnstile {
  const queue: (() => void)[] = [];
  let running = 0;

  async function enter(): Promise<void> {
    if (running < runningMax) {
      running++;
      return;
    }
    // The place of whoever leaves is handed over, so nobody can slip in between.
    const { promise, resolve } = Promise.withResolvers<void>();
    queue.push(resolve);
    await promise;
  }

  function leave(): void {
    const next = queue.shift();
    if (next === undefined) running--;
    else next();
  }

  return {
    pass: async (signal, work) => {
      await enter();
      try {
        return signal.aborted ? null : await work();
      } finally {
        leave();
      }
    },
  };
}
