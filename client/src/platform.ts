/** What the client takes from where it runs; all of it can be given instead, and is in tests. Browsers and Node from 22 on have everything; Node 20 has no WebSocket: give `ws`. */

export type Platform = {
  readonly fetch: typeof globalThis.fetch;
  /** A constructor as browsers have it; null: only server-sent events. */
  readonly WebSocket: unknown;
  /** Of a clock that never goes back. */
  readonly nowMs: () => number;
  /** Resolves after so many milliseconds, or at once when the signal aborts; never rejects. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** At least 0, below 1: for jitter alone. */
  readonly random: () => number;
  /** 128 random bits that nobody can guess, as text. */
  readonly randomId: () => string;
};

/** @returns that of the browser, or of Node. */
export function ownPlatform(): Platform {
  return {
    fetch: (input, init) => globalThis.fetch(input, init),
    WebSocket: globalThis.WebSocket ?? null,
    nowMs: () => performance.now(),
    sleep,
    random: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
    randomId: () =>
      Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(''),
  };
}

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done, { once: true });
  });
}
