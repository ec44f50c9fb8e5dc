/**
 * Many who ask the database the same thing at the same time, in one statement: while it works for some, those who come meanwhile gather, and are served together next. Whoever comes alone is served at once.
 */
import DataLoader from 'dataloader';
import { RetryableError } from '../env/errors.ts';

/** Asks for one; resolves with what `work` returned for it. */
export type Gathering<Item, Result> = (item: Item) => Promise<Result>;

/**
 * @param work one result for each item, in their order; an Error in the place of one is thrown to who asked for it. Called for one set at a time.
 * Where the database refuses several it is called for each of them by itself, so that the one at fault is in nobody's way. Where the database is away or does not answer, all are told so: asked again one by one,
 * they would wait one after the other, and perhaps meet another database than the one they were meant for.
 */
export function createGathering<Item, Result>(
  work: (items: readonly Item[]) => Promise<readonly (Result | Error)[]>,
  countMax = COUNT_MAX,
): Gathering<Item, Result> {
  let working: Promise<unknown> = Promise.resolve();
  const loader = new DataLoader<Item, Result>(
    (items) => {
      const served = workForAll(items);
      working = served;
      return served;
    },
    {
      cache: false,
      maxBatchSize: countMax,
      batchScheduleFn: (begin) => {
        working.then(begin, begin);
      },
    },
  );
  return async (item) => await loader.load(item);

  async function workForAll(items: readonly Item[]): Promise<readonly (Result | Error)[]> {
    try {
      return await work(items);
    } catch (error) {
      if (items.length === 1 || error instanceof RetryableError) throw error;
    }
    const results: (Result | Error)[] = [];
    for (const item of items) {
      try {
        results.push(...(await work([item])));
      } catch (error) {
        results.push(error instanceof Error ? error : new Error(String(error)));
      }
    }
    return results;
  }
}

const COUNT_MAX = 64;
