/** Every choice of a schedule, drawn from its seed. Each purpose has a stream of its own, so that switching one kind of fault off shifts no other. */
import { createHash } from 'node:crypto';
import { createSeededRandom, type Random } from '../../src/env/random.ts';

export type Dice = Random & {
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number;
  /** Evenly spread over the orders of magnitude between two positive numbers: small rates are as likely as large ones. */
  logUniform(least: number, most: number): number;
  /** @throws when there is nothing to pick from. */
  pick<T>(from: readonly T[]): T;
};

/** @returns the stream of randomness that `purpose` has under `seed`. */
export function createDice(seed: number, ...purpose: readonly (string | number)[]): Dice {
  const digest = createHash('sha256')
    .update([seed, ...purpose].join('/'))
    .digest();
  const random = createSeededRandom(digest.readUInt32BE(0));
  const integer = (least: number, most: number): number => least + Math.floor(random.next() * (most - least + 1));
  return {
    ...random,
    chance: (probability) => random.next() < probability,
    integer,
    logUniform: (least, most) => Math.exp(Math.log(least) + random.next() * (Math.log(most) - Math.log(least))),
    pick: (from) => {
      const picked = from[integer(0, from.length - 1)];
      if (picked === undefined) throw new Error('Nothing to pick from.');
      return picked;
    },
  };
}
