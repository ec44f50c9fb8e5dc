/** Arbitrary trees, by senders of any intent: the words of the standard, in any order, around anything. */
import fc from 'fast-check';
import type { Event } from '../../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { Value } from '../../../src/gen/com/daml/ledger/api/v2/value.ts';
import { parseAmount } from '../../../src/tokens/amount.ts';
import type { Instrument } from '../../../src/tokens/transfer-record.ts';
import type { Known } from '../../../src/tokens/update-effects.ts';
import {
  ADMIN,
  ALICE,
  COIN,
  contract,
  createHolding,
  createOffer,
  exercise,
  metadata,
  preapprovalSend,
  REASON,
  record,
  TREASURY,
  TX_KIND,
  transferValue,
  variant,
} from '../../support/transactions.ts';

const MALLORY = 'mallory::1220ff';
export const OTHER_TREASURY = 'treasury2::1220ab';
const FAKE: Instrument = { admin: MALLORY, id: 'Fake' };
const LOOK_ALIKE: Instrument = { admin: MALLORY, id: COIN.id };
const PARTIES = [TREASURY, OTHER_TREASURY, ALICE, MALLORY, ADMIN];
const AMOUNT_MAX = '9999999999999999999999999999.9999999999';

/** What is known of earlier updates: holdings of the treasury and pending offers, of several instruments. */
export const HELD = new Map<string, { instrument: Instrument; amount: string }>([
  ['00h1', { instrument: COIN, amount: '10' }],
  ['00h2', { instrument: COIN, amount: '0.0000000001' }],
  ['00h3', { instrument: FAKE, amount: AMOUNT_MAX }],
  ['00h4', { instrument: FAKE, amount: AMOUNT_MAX }],
]);
export const OFFERED = new Map<string, { transferId: string; instrument: Instrument }>([
  ['00o1', { transferId: 'tr_coin', instrument: COIN }],
  ['00o2', { transferId: 'tr_fake', instrument: FAKE }],
]);
export const known: Known = {
  holding: (cid) => {
    const held = HELD.get(cid);
    return held && { instrument: held.instrument, amount: parseAmount(held.amount) };
  },
  instruction: (cid) => OFFERED.get(cid),
};

// Weighted towards trees in which something happens to the treasury.
const party = fc.constantFrom(TREASURY, TREASURY, ...PARTIES);
const instrument = fc.constantFrom(COIN, FAKE, LOOK_ALIKE);
const amount = fc.constantFrom('1', '2', '0.0000000001', '200', '30', '4', '0', '-3', AMOUNT_MAX, 'not a number');
/** A contract as an event at `node` may name it: known from before, or one of the events close by. */
const anyCid: fc.Arbitrary<(node: number) => string> = fc.oneof(
  fc.constantFrom(...HELD.keys(), ...OFFERED.keys(), '00unknown').map((cid) => () => cid),
  fc.integer({ min: -3, max: 3 }).map((distance) => (node: number) => `00n${node + distance}`),
);
const txKind = fc.constantFrom('transfer', 'mint', 'burn', 'merge-split', 'expire-dust', 'unlock', 'of-the-future');

type Node = (node: number, last: number) => Event;
type Tree = { readonly event: Node; readonly children: readonly Tree[] };

const result: fc.Arbitrary<(node: number) => Value> = fc.oneof(
  anyCid.map(
    (cid) => (node: number) =>
      record({
        output: variant('TransferInstructionResult_Pending', record({ transferInstructionCid: contract(cid(node)) })),
      }),
  ),
  fc
    .constantFrom('TransferInstructionResult_Completed', 'TransferInstructionResult_Failed', 'Nonsense')
    .map((name) => () => record({ output: variant(name, record({})) })),
  fc.tuple(txKind, fc.constantFrom('alice-memo', 'mallory-memo', '')).map(
    ([kind, memo]) =>
      () =>
        record({ meta: metadata({ [TX_KIND]: kind, [REASON]: memo }) }),
  ),
  fc.constant(() => record({})),
);

/** Mostly none. */
const division = fc.constantFrom({}, {}, {}, {}, { provider: MALLORY }, { id: 'savings' });

const created: fc.Arbitrary<Node> = fc.oneof(
  fc.record({ owner: party, amount, instrument, isSigned: fc.constantFrom(true, true, true, false), division }).map(
    ({ isSigned, ...options }): Node =>
      (node) =>
        createHolding({
          ...options,
          node,
          cid: `00n${node}`,
          signatories: isSigned ? [options.instrument.admin] : [MALLORY],
        }),
  ),
  fc
    .record({
      sender: party,
      receiver: party,
      amount,
      instrument,
      original: fc.option(anyCid, { nil: undefined, freq: 2 }),
    })
    .map(
      ({ original, ...options }): Node =>
        (node) =>
          createOffer({
            ...options,
            ...(original === undefined ? {} : { original: original(node) }),
            node,
            cid: `00n${node}`,
            memo: 'mallory-memo',
            signatories: [options.instrument.admin],
          }),
    ),
);

const exercised: fc.Arbitrary<Node> = fc
  .record({
    cid: anyCid,
    consuming: fc.boolean(),
    acting: fc.uniqueArray(party, { minLength: 1, maxLength: 2 }),
    shape: fc.constantFrom('factory', 'instruction', 'preapproval', 'rule', 'any'),
    choice: fc.constantFrom('Accept', 'Reject', 'Withdraw', 'Update'),
    transfer: fc.record({ sender: party, receiver: party, amount, instrument }),
    result,
  })
  .map(
    ({ shape, choice, transfer, cid, result, ...rest }): Node =>
      (node, last) => {
        const options = { ...rest, cid: cid(node), result: result(node) };
        const argument = record({ transfer: transferValue({ ...transfer, memo: 'mallory-memo' }) });
        switch (shape) {
          case 'factory':
            return exercise({ ...options, node, last, argument, on: shape, choice: 'TransferFactory_Transfer' });
          case 'instruction':
            return exercise({ ...options, node, last, on: shape, choice: `TransferInstruction_${choice}` });
          case 'preapproval':
            return preapprovalSend({ node, last, memo: 'alice-memo' });
          case 'rule':
            return exercise({
              ...options,
              node,
              last,
              argument,
              module: 'Utility.Registry.V0.Rule.Transfer',
              entity: 'TransferRule',
              choice: 'TransferRule_DirectTransfer',
            });
          default:
            return exercise({ ...options, node, last, argument });
        }
      },
  );

export const { forest } = fc.letrec<{ tree: Tree; forest: readonly Tree[] }>((tie) => ({
  forest: fc.array(tie('tree'), { maxLength: 5, depthIdentifier: 'tree' }),
  tree: fc.oneof(
    { depthIdentifier: 'tree', maxDepth: 4 },
    created.map((event) => ({ event, children: [] })),
    fc.record({ event: exercised, children: tie('forest') }),
  ),
}));

/** Numbers the nodes in pre-order. A contract is consumed once at most, as the ledger sees to. */
export function eventsOf(trees: readonly Tree[]): Event[] {
  const events: Event[] = [];
  const consumed = new Set<string>();
  const visit = ({ event, children }: Tree): void => {
    const node = events.length;
    events.push(event(node, node));
    for (const child of children) visit(child);
    const numbered = event(node, events.length - 1);
    const exercise = numbered.event?.$case === 'exercised' ? numbered.event.value : null;
    if (exercise?.consuming === true) {
      const isLater = exercise.contractId.startsWith('00n') && Number(exercise.contractId.slice(3)) >= node;
      if (isLater || consumed.has(exercise.contractId)) exercise.consuming = false;
      else consumed.add(exercise.contractId);
    }
    events[node] = numbered;
  };
  for (const tree of trees) visit(tree);
  return events;
}
