/** What may be asked of one endpoint: so many calls at once, and so many begun in any second. Whoever comes too early waits, first come first served. */
import { createTurnstile } from '../db/turnstile.ts';
import { type Clock, type Micros, microsToMillis } from '../env/clock.ts';

export type CallLimit = {
  /** @returns what `work` returns, when its turn has come. */
  pass<T>(work: () => Promise<T>): Promise<T>;
};

const SECOND: Micros = 1_000_000n;

/**
 * @param inFlightMax 1 or more. An open stream is not in flight, its opening is a call.
 * @param perSecondMax 1 or more. The window slides: in no second, wherever it begins, do more calls begin.
 */
export function createCallLimit(options: {
  readonly clock: Clock;
  readonly inFlightMax: number;
  readonly perSecondMax: number;
}): CallLimit {
  const { clock, inFlightMax, perSecondMax } = options;
  const turnstile = createTurnstile(inFlightMax);
  const never = new AbortController().signal;
  /** When the newest calls began, oldest first; as many as a second may hold. */
  const begun: Micros[] = [];
  let queue: Promise<void> = Promise.resolve();

  async function waitForTurn(): Promise<void> {
    for (;;) {
      const [oldest] = begun;
      if (begun.length < perSecondMax || oldest === undefined) break;
      const passed = clock.nowMicros() - oldest;
      // A clock that was set back says nothing about how long ago it was.
      if (passed > SECOND || passed < 0n) begun.shift();
      else await clock.sleep(microsToMillis(SECOND - passed) + 1);
    }
    begun.push(clock.nowMicros());
  }

  return {
    pass: async (work) => {
      const result = await turnstile.pass(never, async () => {
        const turn = queue.then(waitForTurn);
        queue = turn;
        await turn;
        return { value: await work() };
      });
      if (result === null) throw new Error('The turnstile let nobody through.');
      return result.value;
    },
  };
}
