/** A value that does not print: not by String(), JSON.stringify, console.log, a logger or an error message. */
import { inspect } from 'node:util';

export type Secret = {
  /** The value itself, for the one place that needs it. */
  reveal(): string;
  toString(): string;
  toJSON(): string;
};

const PRINTED = '[secret]';

export function createSecret(value: string): Secret {
  // The value lives in a closure, where neither enumeration nor a debugger's print of the object finds it.
  const secret = {
    reveal: () => value,
    toString: () => PRINTED,
    toJSON: () => PRINTED,
    [inspect.custom]: () => PRINTED,
  };
  return Object.freeze(secret);
}
