/**
 * A21: transactions of a real node, and those of the corpus, damaged in structure. Whatever arrives, the parser answers with effects or refuses with its own
 * error; what it says adds up to what the holdings did that the instrument's admin signed, worked out here anew and without any exercise; it credits no more than
 * was created for us; and the reference implementation tells the same.
 *
 * `SLUICE_FUZZ_TRANSACTIONS=100000 vitest run test/tokens/structural-fuzz.test.ts` is the long run; `SLUICE_FUZZ_SEED` makes others, `SLUICE_FUZZ_FROM`
 * begins at a case.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CreatedEvent, Event } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { transactionOfJson } from '../../src/simnet/recorded/json-transaction.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { DecodeError } from '../../src/tokens/value.ts';
import { createDice } from '../simulation/dice.ts';
import { rounds } from '../support/tier.ts';
import { COIN_CASES } from './corpus/coin-cases.ts';
import { ALICE, MALLORY, TREASURY } from './corpus/contracts.ts';
import { damaged, type Stock, stockOf } from './corpus/mutations.ts';
import { ODD_CASES } from './corpus/odd-cases.ts';
import { REGISTRY_CASES } from './corpus/registry-cases.ts';
import type { Story } from './corpus/story.ts';
import { createTeller, type Given } from './corpus/telling.ts';
import { seenBy } from './corpus/tree.ts';
import { TRICKY_CASES } from './corpus/tricky-cases.ts';
import { holdingOf } from './reference/ledger-values.ts';
import { createReference, type Reference, Unreadable } from './reference/reference.ts';

const FROM = Number(process.env['SLUICE_FUZZ_FROM'] ?? 0);
const CASES = Number(process.env['SLUICE_FUZZ_TRANSACTIONS'] ?? rounds(1_000, 30_000));
const SEED = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1);

/** A history of one party whose last transaction will be damaged. */
type Recorded = {
  readonly name: string;
  readonly party: string;
  readonly given: readonly Given[];
  readonly before: readonly Transaction[];
  readonly transaction: Transaction;
};

const CAPTURED_PARTY = 'treasury-party::12207bd11907b9b3c11ade702d30b556bfe635314d3d0f708f9677e09a4ff096ef87';
const ONE_STEP_PARTY = 'treasury-party::1220278a4a0eb2c244b425dff62853ef1cd04ca1095bffcea465c0de766faf9ab8cd';

function capture(name: string): Transaction {
  return transactionOfJson(JSON.parse(readFileSync(`${import.meta.dirname}/../fixtures/ledger/${name}.json`, 'utf8')));
}

const create = capture('transfer-instruction-create');
const CAPTURES: readonly Recorded[] = [
  { name: '1-step', party: ONE_STEP_PARTY, given: [], before: [], transaction: capture('1-step-transfer') },
  { name: 'create', party: CAPTURED_PARTY, given: [], before: [], transaction: create },
  {
    name: 'accept',
    party: CAPTURED_PARTY,
    given: [],
    before: [create],
    transaction: capture('transfer-instruction-accept'),
  },
];

const transactionOf = (events: Event[]): Transaction => Transaction.fromPartial({ updateId: 'u', events });
const COMPOSED: readonly Recorded[] = [...COIN_CASES, ...REGISTRY_CASES, ...TRICKY_CASES, ...ODD_CASES].flatMap(
  ({ name, given = [], updates, views }) =>
    Object.entries(views).flatMap(([party, told]) => {
      if (told.includes('refused')) return [];
      const seen = updates.map((trees) => transactionOf(seenBy(trees, party)));
      return seen.map((transaction, index) => ({ name, party, given, before: seen.slice(0, index), transaction }));
    }),
);

/** What the party's holdings of each instrument did, from contracts and their signatures alone. */
function heldBy(party: string, events: readonly Event[], known: ReadonlyMap<string, Held>) {
  const came = new Map<string, Held>();
  for (const { event } of events) {
    const held = event?.$case === 'created' ? ownHolding(event.value, party) : undefined;
    if (event?.$case === 'created' && held) came.set(event.value.contractId, held);
  }
  const sums = new Map<string, { created: bigint; net: bigint }>();
  const add = ({ key, units }: Held, created: bigint, net: bigint) => {
    const before = sums.get(key) ?? { created: 0n, net: 0n };
    sums.set(key, { created: before.created + created * units, net: before.net + net * units });
  };
  for (const held of came.values()) add(held, 1n, 1n);
  for (const { event } of events) {
    const spent = event?.$case === 'exercised' && event.value.consuming ? event.value.contractId : undefined;
    const held = spent === undefined ? undefined : (came.get(spent) ?? known.get(spent));
    if (held) add(held, 0n, -1n);
  }
  return sums;
}

type Held = { readonly key: string; readonly units: bigint };

function ownHolding(event: CreatedEvent, party: string): Held | undefined {
  try {
    const view = holdingOf(event);
    if (view === undefined || view.owner !== party || !event.signatories.includes(view.instrument.admin))
      return undefined;
    return view.units > 0n && view.part === ''
      ? { key: JSON.stringify(view.instrument), units: view.units }
      : undefined;
  } catch {
    return undefined; // Unreadable: it can credit nothing.
  }
}

/** What the story says that holdings did, and what of it somebody is credited with. */
function saidBy(story: Story, instrumentOfTransfer: ReadonlyMap<string, string>) {
  const sums = new Map<string, { credited: bigint; net: bigint }>();
  const add = (key: string, net: bigint, isCredit: boolean) => {
    const before = sums.get(key) ?? { credited: 0n, net: 0n };
    sums.set(key, { credited: before.credited + (isCredit && net > 0n ? net : 0n), net: before.net + net });
  };
  for (const { instrument, deltaUnits, direction, kind } of story.movements) {
    add(JSON.stringify(instrument), deltaUnits, direction === 'IN' && (kind === 'DIRECT' || kind === 'OFFER'));
  }
  for (const { of, deltaUnits, status } of story.progress) {
    add(instrumentOfTransfer.get(of) ?? '?', deltaUnits, status === 'COMPLETED');
  }
  return sums;
}

test('A21: damaged transactions never escape the parser, and credit no more than was created', {
  timeout: Math.max(60_000, CASES * 30),
}, () => {
  const seen = { told: 0, refused: 0, credits: 0 };
  for (let index = FROM; index < CASES; index += 1) {
    const dice = createDice(SEED, 'structural', index);
    const recorded = dice.pick(dice.chance(0.4) ? CAPTURES : COMPOSED);
    const { party, given, before, transaction } = recorded;
    const where = `seed ${SEED}, case ${index}, ${recorded.name}`;
    const teller = createTeller(party, given);
    const own = given.filter(({ owner }) => owner === party);
    const reference = createReference(
      party,
      own.map(({ amount, ...rest }) => ({ ...rest, units: parseAmount(amount) })),
    );
    const known = new Map<string, Held>(
      own.map(({ cid, instrument, amount }) => [cid, { key: JSON.stringify(instrument), units: parseAmount(amount) }]),
    );
    const instrumentOfTransfer = new Map<string, string>();
    const remember = (story: Story, update: number) => {
      story.movements.forEach(({ instrument }, rank) => {
        instrumentOfTransfer.set(`u${update}.${rank}`, JSON.stringify(instrument));
      });
      for (const { cid, instrument, units } of story.gained) known.set(cid, { key: JSON.stringify(instrument), units });
    };
    before.forEach(({ events }, update) => {
      remember(teller.read(events).story, update);
      reference.tell(events);
    });
    const extra: Stock = { parties: [party, ALICE, MALLORY, TREASURY], contracts: ['00unknown', ...known.keys()] };
    const { events } = damaged(transaction, dice, stockOf(transaction, extra));

    let story: Story;
    try {
      ({ story } = teller.read(events));
    } catch (error) {
      expect(error, where).toBeInstanceOf(DecodeError);
      expect(toldBy(reference, events), where).toBe('refused');
      seen.refused += 1;
      continue;
    }
    const told = toldBy(reference, events);
    if (told === 'refused') throw new Error(`Only the reference refuses: ${where}`);
    const { movements, progress, opened, ended, gained, lost, anomalies } = told;
    expect(story, where).toEqual({ movements, progress, opened, ended, gained, lost, anomalies });
    const did = heldBy(party, events, known);
    remember(story, before.length);
    const said = saidBy(story, instrumentOfTransfer);
    for (const key of new Set([...did.keys(), ...said.keys()])) {
      expect(said.get(key)?.net ?? 0n, where).toBe(did.get(key)?.net ?? 0n);
      const credited = said.get(key)?.credited ?? 0n;
      expect(credited <= (did.get(key)?.created ?? 0n), where).toBe(true);
      if (credited > 0n) seen.credits += 1;
    }
    seen.told += 1;
  }
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
});

function toldBy(reference: Reference, events: readonly Event[]): Story | 'refused' {
  const nodeIdOf = ({ event }: Event) => event?.value.nodeId ?? -1;
  try {
    return reference.tell([...events].sort((left, right) => nodeIdOf(left) - nodeIdOf(right)));
  } catch (error) {
    if (error instanceof Unreadable) return 'refused';
    throw error;
  }
}
