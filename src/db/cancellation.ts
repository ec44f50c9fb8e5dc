/**
 * Ends the SQL of work that nobody waits for any more: an operation whose client went away, or whose time is up.
 *
 * The signal travels with the asynchronous work instead of through every read, so no statement can be forgotten. A statement under way is
 * cancelled by PostgreSQL's own request on a connection of its own (protocol documentation, "Canceling Requests in Progress"). Such a request
 * may arrive late and meet the next statement, so a connection that was cancelled is never used again. A COMMIT is waited for: cancelling it
 * would only hide its outcome.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { connect } from 'node:net';
import type pg from 'pg';
import { RetryableError } from '../env/errors.ts';

/** The work's time is up, or its client is gone. Nothing of the statement was done. */
export class CancelledError extends RetryableError {
  constructor(options?: ErrorOptions) {
    super('CANCELLED', 'Nobody waits for this any more.', {}, options);
  }
}

const signals = new AsyncLocalStorage<AbortSignal>();

/** Runs `work`; every statement it starts, directly or later, ends when `signal` aborts. */
export function cancellable<T>(signal: AbortSignal, work: () => T): T {
  return signals.run(signal, work);
}

/** Of the work that is running; undefined: it cannot be cancelled. */
export function currentSignal(): AbortSignal | undefined {
  return signals.getStore();
}

/**
 * @returns what `work` comes to. When the signal aborts first, `onAbort` is called and `work` is left to itself.
 * @throws CancelledError
 */
export async function untilAborted<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  onAbort: (left: Promise<T>) => void,
): Promise<T> {
  if (signal.aborted) throw new CancelledError();
  const running = work();
  return await new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      onAbort(running);
      reject(new CancelledError());
    };
    signal.addEventListener('abort', abort, { once: true });
    running.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

const CANCEL_REQUEST_CODE = 80_877_102;
/** 2 s: it is a courtesy to the database, whose own statement timeout ends the statement otherwise. */
const CANCEL_TIMEOUT_MS = 2_000;

/** Asks the server to cancel what `client` is doing. Tells nobody whether that came in time. */
export function requestCancel(client: pg.PoolClient): void {
  const { host, port, processID, secretKey } = client as pg.PoolClient & BackendKey;
  if (typeof processID !== 'number' || typeof secretKey !== 'number') return;
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(CANCEL_REQUEST_CODE, 4);
  message.writeInt32BE(processID, 8);
  message.writeInt32BE(secretKey, 12);
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  socket.on('error', () => undefined);
  socket.setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy());
  socket.end(message);
  socket.resume();
}

/** What the driver keeps of the server's BackendKeyData, and its types do not tell. */
type BackendKey = { readonly processID?: unknown; readonly secretKey?: unknown };
