/**
 * Who acts in a mutation of the API, for the audit entries that triggers write: the one thing that reaches every transaction a mutation
 * opens, without passing through the arguments of each service, where one of them could forget it. Also who gives a command that changes a row
 * for the second time: a trigger that sees only what changed cannot tell that it was the same person again.
 *
 * The storage is a module's constant and holds nothing by itself: what it tells belongs to the call it was told in.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export type Acting = {
  /** Name of the principal. */
  readonly principal: string;
  /** The mutation; null: what the table calls a change of its rows. */
  readonly action: string | null;
  /** SHA-256 of its arguments, as lower-case hex; null of a command, whose row has all of them. */
  readonly inputHash: string | null;
};

const storage = new AsyncLocalStorage<Acting>();

/** Runs `work`; every transaction that it opens carries who acts (connection.ts). */
export function actAs<Result>(acting: Acting, work: () => Result): Result {
  return storage.run(acting, work);
}

/** {@link actAs} for a command that may change a row of the same person again. It has to open a transaction: who acts is told at its beginning. */
export function actByCommand<Result>(by: string, work: () => Result): Result {
  return actAs({ principal: by, action: null, inputHash: null }, work);
}

/** Null: nobody told, so Sluice acts by itself, or a person through a command whose row names him. */
export function actingNow(): Acting | null {
  return storage.getStore() ?? null;
}
