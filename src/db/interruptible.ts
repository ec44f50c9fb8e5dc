/**
 * An async generator that can be ended while it waits.
 *
 * `return()` of a plain one queues behind the pending `next()`: a subscriber that leaves while nothing happens would stay until something
 * does. Here it aborts the signal the generator waits on first. For the same reason nothing may wrap the result in another generator.
 */
export function interruptible<T>(
  start: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  const ending = new AbortController();
  const inner = start(ending.signal);
  const outer: AsyncGenerator<T, void, undefined> = {
    next: async () => await inner.next(),
    return: async () => {
      ending.abort();
      return await inner.return();
    },
    throw: async (error) => {
      ending.abort();
      return await inner.throw(error);
    },
    [Symbol.asyncIterator]: () => outer,
    [Symbol.asyncDispose]: async () => {
      await outer.return();
    },
  };
  return outer;
}
