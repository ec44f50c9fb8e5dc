/**
 * Who acts in a mutation of the API, for the audit entries that triggers write: the one thing that reaches every transaction a mutation
 * opens, without passing through the arguments of each service, where one of them could forget it.
 *
 * The storage is a module's constant and holds nothing by itself: what it tells belongs to the call it was told in.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export type Acting = {
  /** Name of the principal. */
  readonly principal: string;
  /** The mutation. */
  readonly action: string;
  /** SHA-256 of its arguments, as lower-case hex. */
  readonly inputHash: string;
};

const storage = new AsyncLocalStorage<Acting>();

/** Runs `work`; every transaction that it opens carries who acts (connection.ts). */
export function actAs<Result>(acting: Acting, work: () => Result): Result {
  return storage.run(acting, work);
}

/** Null: nobody told, so Sluice acts by itself, or a person through the command line. */
export function actingNow(): Acting | null {
  return storage.getStore() ?? null;
}
