/**
 * A22: two implementations that share no code must tell the same of any transaction. One walks down the tree and lets claims take what is below them, the other
 * climbs from each holding. The transactions are random: half of them composed of the shapes of real registries, with liars among them, and read in sequence by
 * several parties; half of them arbitrary trees.
 *
 * `SLUICE_DIFFERENTIAL_CASES=100000 vitest run test/tokens/differential.test.ts` is the long run; `SLUICE_DIFFERENTIAL_SEED` starts elsewhere.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Event } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { DecodeError } from '../../src/tokens/value.ts';
import { createDice } from '../simulation/dice.ts';
import { rounds } from '../support/tier.ts';
import { effects, TREASURY } from '../support/transactions.ts';
import { ALICE, VAULT } from './corpus/contracts.ts';
import { eventsOf, forest, HELD, known, OFFERED, OTHER_TREASURY } from './corpus/hostile-trees.ts';
import { type Story, storyOf } from './corpus/story.ts';
import { createTeller } from './corpus/telling.ts';
import { seenBy } from './corpus/tree.ts';
import { createWorld } from './corpus/world.ts';
import { createReference, Unreadable } from './reference/reference.ts';

const CASES = Number(process.env['SLUICE_DIFFERENTIAL_CASES'] ?? rounds(2_000, 50_000));
const SEED = Number(process.env['SLUICE_DIFFERENTIAL_SEED'] ?? 1);
/** Transactions of one ledger, each knowing the ones before. */
const WORLD_LENGTH = 25;
const TIMEOUT_MS = Math.max(60_000, CASES * 20);

type Reader = (events: readonly Event[]) => Omit<Story, 'offers'> | 'refused';

function refusing(
  read: (events: readonly Event[]) => Story,
  refusal: abstract new (...args: never[]) => Error,
): Reader {
  return (events) => {
    try {
      const { movements, progress, opened, ended, gained, lost, anomalies } = read(events);
      return { movements, progress, opened, ended, gained, lost, anomalies };
    } catch (error) {
      if (error instanceof refusal) return 'refused';
      throw error;
    }
  };
}

/** Both readers of one party. */
function readersOf(party: string): readonly [Reader, Reader] {
  const teller = createTeller(party, []);
  const reference = createReference(party, []);
  return [
    refusing((events) => teller.read(events).story, DecodeError),
    refusing((events) => reference.tell(events), Unreadable),
  ];
}

test('A22: parser and reference tell the same of composed transactions, as each party sees them', {
  timeout: TIMEOUT_MS,
}, () => {
  const seen = new Map<string, number>();
  for (let first = 0; first < CASES / 2; first += WORLD_LENGTH) {
    const world = createWorld(createDice(SEED, 'differential', first));
    const readers = [TREASURY, VAULT, ALICE].map((party) => [party, ...readersOf(party)] as const);
    for (let step = 0; step < WORLD_LENGTH; step += 1) {
      const trees = world.next();
      for (const [party, parser, reference] of readers) {
        const events = seenBy(trees, party);
        const told = parser(events);
        expect(told, `seed ${SEED}, ledger ${first}, step ${step}, ${party}`).toEqual(reference(events));
        for (const kind of kindsOf(told)) seen.set(kind, (seen.get(kind) ?? 0) + 1);
      }
    }
  }
  // Else the ledgers would be too tame to say anything.
  for (const kind of [
    'DIRECT IN',
    'DIRECT OUT',
    'OFFER IN',
    'OFFER OUT',
    'MERGE SELF',
    'MINT IN',
    'BURN OUT',
    'UNEXPLAINED OUT',
  ]) {
    expect(seen.get(kind), kind).toBeGreaterThan(0);
  }
  for (const status of ['COMPLETED', 'REJECTED', 'WITHDRAWN', 'EXPIRED', 'FAILED', 'PENDING']) {
    expect(seen.get(`→ ${status}`), status).toBeGreaterThan(0);
  }
});

function kindsOf(told: ReturnType<Reader>): string[] {
  if (told === 'refused') return ['refused'];
  return [
    ...told.movements.map(({ kind, direction }) => `${kind} ${direction}`),
    ...told.progress.map(({ status }) => `→ ${status}`),
  ];
}

test('A22: parser and reference tell the same of arbitrary trees', { timeout: TIMEOUT_MS }, () => {
  const held = [...HELD].map(([cid, { instrument, amount }]) => ({ cid, instrument, units: parseAmount(amount) }));
  const offered = [...OFFERED].map(([cid, { transferId, instrument }]) => ({ cid, of: transferId, instrument }));
  const property = fc.property(forest, fc.constantFrom(TREASURY, OTHER_TREASURY), (trees, party) => {
    const events = eventsOf(trees);
    const parser = refusing((seen) => {
      const found = effects([...seen], known, party);
      const names = new Map(found.movements.map(({ id, rank }) => [id, `u0.${rank}`]));
      return storyOf(found, (id) => names.get(id) ?? id);
    }, DecodeError);
    const reference = refusing((seen) => createReference(party, held, offered).tell(seen), Unreadable);
    expect(parser(events)).toEqual(reference(events));
  });
  fc.assert(property, { numRuns: Math.ceil(CASES / 2), seed: SEED });
});
