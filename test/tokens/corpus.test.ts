/**
 * Every shape of transaction that a treasury can meet, from both sides, and the meaning that people gave it. The parser and the reference implementation, which
 * share no code, must both tell it so.
 */
import { describe, expect, test } from 'vitest';
import { parseAmount } from '../../src/tokens/amount.ts';
import { DecodeError } from '../../src/tokens/value.ts';
import type { Case } from './corpus/case.ts';
import { COIN_CASES } from './corpus/coin-cases.ts';
import { ODD_CASES } from './corpus/odd-cases.ts';
import { REGISTRY_CASES } from './corpus/registry-cases.ts';
import { linesOf } from './corpus/story.ts';
import { createTeller } from './corpus/telling.ts';
import { seenBy } from './corpus/tree.ts';
import { TRICKY_CASES } from './corpus/tricky-cases.ts';
import { createReference, Unreadable } from './reference/reference.ts';

const CASES = [...COIN_CASES, ...REGISTRY_CASES, ...TRICKY_CASES, ...ODD_CASES];
const OWED = [
  ...['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map((shape) => `4.4 ${shape}`),
  ...Array.from({ length: 20 }, (_, index) => `6.3 ${index + 1}`),
];

function orRefused<T>(tell: () => T, refusal: abstract new (...args: never[]) => Error): T | 'refused' {
  try {
    return tell();
  } catch (error) {
    if (error instanceof refusal) return 'refused';
    throw error;
  }
}

function toldByParser({ updates, given = [] }: Case, party: string) {
  const teller = createTeller(party, given);
  return updates.map((trees) => orRefused(() => linesOf(teller.read(seenBy(trees, party)).story), DecodeError));
}

function toldByReference({ updates, given = [] }: Case, party: string) {
  const held = given
    .filter(({ owner }) => owner === party)
    .map(({ amount, ...rest }) => ({ ...rest, units: parseAmount(amount) }));
  const reference = createReference(party, held);
  return updates.map((trees) => orRefused(() => linesOf(reference.tell(seenBy(trees, party))), Unreadable));
}

describe.each(CASES.map((entry) => [entry.name, entry] as const))('%s', (_name, entry) => {
  test.each(Object.entries(entry.views))('A22: as %s sees it', (party, expected) => {
    expect(toldByParser(entry, party)).toEqual(expected);
    expect(toldByReference(entry, party)).toEqual(expected);
  });
});

test('the corpus covers every shape and every tricky case', () => {
  const covered = new Set(CASES.flatMap(({ covers }) => covers));
  expect(OWED.filter((owed) => !covered.has(owed))).toEqual([]);
  expect([...covered].filter((id) => !OWED.includes(id))).toEqual([]);
});
