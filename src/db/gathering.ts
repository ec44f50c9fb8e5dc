/**
 * Many who ask the database the same thing at the same time, in one statement: while it works for some, those who come meanwhile gather, and are served together next. Whoever comes alone is served at once.
 */
import DataLoader from 'dataloader';

/** Asks for one; resolves with what `work` returned for it. */
export type Gathering<Item, Result> = (item: Item) => Promise<Result>;

/**
 * @param work one result for each item, in their order; an Error in the place of one is thrown to who asked for it. Called for one set at a time.
 * Where it throws over several it is called for each of them by itself, so that one that the database refuses is in nobody's way.
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
      if (items.length === 1) throw error;
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
