/** How long to wait before trying again. */

export type Backoff = {
  /** Milliseconds before the second try. Default 250. */
  readonly delayMsMin: number;
  /** Milliseconds, at most. Default 30 s. */
  readonly delayMsMax: number;
};

export const BACKOFF: Backoff = { delayMsMin: 250, delayMsMax: 30_000 };

/**
 * Doubles with each try; the whole of it is drawn by lot, so that a thousand clients cut at once do not come back at once.
 * @param tries that failed in a row, 1 or more.
 * @param random at least 0, below 1.
 * @param askedMs how long the server asked to be left alone; null: it did not.
 * @returns milliseconds.
 */
export function delayMsAfter(
  tries: number,
  { delayMsMin, delayMsMax }: Backoff,
  random: number,
  askedMs: number | null,
): number {
  const ceiling = Math.min(delayMsMax, delayMsMin * 2 ** Math.min(tries - 1, 30));
  return Math.min(delayMsMax, askedMs ?? 0) + ceiling * random;
}
