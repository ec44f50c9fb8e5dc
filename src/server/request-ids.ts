/** Which request the code that runs right now belongs to: kept beside the call chain, so that whoever logs need not be told. One per service, no global one. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { LogFields, Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { requestIdOf } from '../env/request-id.ts';

export type RequestIds = {
  /** Runs `work` as a part of the request with these headers; without headers, as one of its own. */
  run<T>(headers: Readonly<Record<string, string | string[] | undefined>>, work: (id: string) => T): T;
  /** Null outside of any request. */
  current(): string | null;
  /** Adds `requestId` to each line within a request. */
  logger(logger: Logger): Logger;
};

export function createRequestIds(random: Pick<Random, 'bytes'>): RequestIds {
  const storage = new AsyncLocalStorage<string>();
  const current = (): string | null => storage.getStore() ?? null;
  const withId = (logger: Logger): Logger => {
    const fieldsOf = (fields: LogFields = {}): LogFields => {
      const requestId = current();
      return requestId === null ? fields : { requestId, ...fields };
    };
    return {
      debug: (message, fields) => logger.debug(message, fieldsOf(fields)),
      info: (message, fields) => logger.info(message, fieldsOf(fields)),
      warn: (message, fields) => logger.warn(message, fieldsOf(fields)),
      error: (message, fields) => logger.error(message, fieldsOf(fields)),
      child: (fields) => withId(logger.child(fields)),
    };
  };
  return {
    run: (headers, work) => {
      const id = requestIdOf(headers, random);
      return storage.run(id, () => work(id));
    },
    current,
    logger: withId,
  };
}
