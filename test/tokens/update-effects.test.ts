/**
 * What a tree of events means in money, on hand-made trees: the shapes that an honest network rarely or never produces. The honest ones come over the wire
 * in test/ingestion.
 */
import { describe, expect, test } from 'vitest';
import { formatAmount, sumAmounts } from '../../src/tokens/amount.ts';
import { DecodeError } from '../../src/tokens/value.ts';
import {
  ADMIN,
  ALICE,
  COIN,
  createHolding,
  createOffer,
  effects,
  exercise,
  knowing,
  labelledResult,
  preapprovalSend,
  record,
  TREASURY,
  text,
  transferValue,
  variant,
} from '../support/transactions.ts';

const MALLORY = 'mallory::1220ff';

function summary({ movements }: ReturnType<typeof effects>) {
  return movements.map(({ kind, direction, status, amount, memo }) => ({
    kind,
    direction,
    status,
    amount: formatAmount(amount),
    memo,
  }));
}

describe('direct deposits', () => {
  test('count once where a nested exercise repeats the transfer', () => {
    const found = effects([
      preapprovalSend({ node: 4, last: 12, memo: 'acct-1' }),
      exercise({
        node: 5,
        last: 12,
        choice: 'AmuletRules_Transfer',
        packageName: 'splice-amulet',
        module: 'Splice.AmuletRules',
        entity: 'AmuletRules',
        result: labelledResult('transfer'),
      }),
      exercise({ node: 8, cid: '00theirs', consuming: true }),
      createHolding({ node: 11, cid: '00ours', amount: '200.0000000000' }),
      createHolding({ node: 12, cid: '00change', owner: ALICE, amount: '99.5' }),
    ]);

    expect(summary(found)).toEqual([
      { kind: 'DIRECT', direction: 'IN', status: 'COMPLETED', amount: '200.0000000000', memo: 'acct-1' },
    ]);
    expect(found.holdingsCreated.map((holding) => holding.contractId)).toEqual(['00ours']);
  });

  test('several in one update keep their memos and their order', () => {
    const found = effects([
      exercise({ node: 0, last: 20, choice: 'WalletAppInstall_ExecuteBatch' }),
      preapprovalSend({ node: 1, last: 3, memo: 'first' }),
      createHolding({ node: 2, cid: '00a', amount: '1.0000000001' }),
      preapprovalSend({ node: 5, last: 8, memo: 'second' }),
      createHolding({ node: 8, cid: '00b', amount: '2' }),
    ]);

    expect(found.movements.map(({ rank, memo, amount }) => [rank, memo, formatAmount(amount)])).toEqual([
      [0, 'first', '1.0000000001'],
      [1, 'second', '2.0000000000'],
    ]);
    expect(new Set(found.movements.map(({ id }) => id)).size).toBe(2);
  });

  test('a holding created and consumed in the same update leaves only its difference', () => {
    const found = effects([
      preapprovalSend({ node: 0, last: 5, memo: 'acct-1' }),
      createHolding({ node: 1, cid: '00big', amount: '100' }),
      exercise({ node: 2, cid: '00big', consuming: true }),
      createHolding({ node: 3, cid: '00small', amount: '1' }),
    ]);

    expect(summary(found)).toEqual([
      { kind: 'DIRECT', direction: 'IN', status: 'COMPLETED', amount: '1.0000000000', memo: 'acct-1' },
    ]);
    expect(found.holdingsArchived).toEqual(['00big']);
  });
});

describe('what cannot be believed', () => {
  test('Z10: the same instrument id under another admin is another instrument', () => {
    const fake = { admin: MALLORY, id: 'Amulet' };
    const found = effects([
      preapprovalSend({ node: 0, last: 1, memo: 'acct-1' }),
      createHolding({ node: 1, cid: '00fake', amount: '1000000', instrument: fake }),
    ]);

    expect(found.movements.map(({ instrument }) => instrument)).toEqual([fake]);
  });

  test('Z11: a holding that names the admin without its signature is no holding', () => {
    const found = effects([
      preapprovalSend({ node: 0, last: 1, memo: 'acct-1' }),
      createHolding({ node: 1, cid: '00forged', amount: '1000000', signatories: [MALLORY, TREASURY] }),
    ]);

    expect(found.movements).toEqual([]);
    expect(found.holdingsCreated).toEqual([]);
    expect(found.anomalies).toEqual([{ code: 'UNSIGNED_HOLDING', contractId: '00forged' }]);
  });

  test('Z11: a view of a look-alike interface, same names in another package, is none', () => {
    const found = effects([
      createHolding({ node: 1, cid: '00fake', amount: '1000000', view: { packageIds: ['f'.repeat(64)] } }),
    ]);

    expect(found.holdingsCreated).toEqual([]);
  });

  test("Z12: a stranger's wrapper around somebody else's deposit does not set its memo", () => {
    const found = effects([
      exercise({
        node: 0,
        last: 9,
        acting: [MALLORY],
        choice: 'Steal',
        result: labelledResult('transfer', 'mallorys-account'),
      }),
      preapprovalSend({ node: 3, last: 9, memo: 'acct-1' }),
      createHolding({ node: 5, cid: '00ours', amount: '7' }),
    ]);

    expect(found.movements.map(({ memo }) => memo)).toEqual(['acct-1']);
  });

  test('Z12: what only a stranger labels is unexplained, and still counted', () => {
    const found = effects([
      exercise({ node: 0, last: 9, acting: [MALLORY], result: labelledResult('transfer', 'mallorys-account') }),
      createHolding({ node: 5, cid: '00ours', amount: '7' }),
    ]);

    expect(summary(found)).toEqual([
      { kind: 'UNEXPLAINED', direction: 'IN', status: 'COMPLETED', amount: '7.0000000000', memo: null },
    ]);
  });

  test('Z12: a claim to more than the holdings gained is worth what they gained', () => {
    const found = effects([
      exercise({
        node: 0,
        last: 3,
        choice: 'TransferRule_DirectTransfer',
        packageName: 'utility-registry-v0',
        module: 'Utility.Registry.V0.Rule.Transfer',
        entity: 'TransferRule',
        argument: record({ transfer: transferValue({ amount: '1000000', memo: 'acct-1' }) }),
      }),
      createHolding({ node: 2, cid: '00ours', amount: '0.0000000001' }),
    ]);

    expect(found.movements.map(({ amount, memo }) => [formatAmount(amount), memo])).toEqual([
      ['0.0000000001', 'acct-1'],
    ]);
  });

  test('a made-up factory cannot put its own tokens into the offer of another instrument', () => {
    const fake = { admin: MALLORY, id: 'Fake' };
    const factory = (node: number, last: number) =>
      exercise({
        node,
        last,
        on: 'factory',
        choice: 'TransferFactory_Transfer',
        acting: [MALLORY],
        argument: record({ transfer: transferValue({ amount: '1', instrument: fake }) }),
        result: record({
          output: variant(
            'TransferInstructionResult_Pending',
            record({ transferInstructionCid: { sum: { $case: 'contractId', value: '00offer' } } }),
          ),
        }),
      });
    const found = effects([
      factory(0, 3),
      createHolding({ node: 1, cid: '00fake', amount: '1000000', instrument: fake, signatories: [MALLORY] }),
      createOffer({ node: 3, cid: '00offer', amount: '1', memo: 'mallory' }),
    ]);

    expect(found.movements).toMatchObject([
      { kind: 'UNEXPLAINED', instrument: fake, holdingsDelta: 10_000_000_000_000_000n },
      { kind: 'OFFER', instrument: COIN, holdingsDelta: 0n },
    ]);
  });

  test('what a wrapper explains of its own instrument leaves the deposits of others inside it to their memos', () => {
    const fake = { admin: MALLORY, id: 'Fake' };
    const found = effects([
      exercise({ node: 0, last: 5, acting: [MALLORY], result: labelledResult('transfer', 'mallory') }),
      createHolding({ node: 1, cid: '00fake', amount: '7', instrument: fake, signatories: [MALLORY] }),
      exercise({
        node: 2,
        last: 5,
        on: 'factory',
        choice: 'TransferFactory_Transfer',
        acting: [MALLORY],
        argument: record({ transfer: transferValue({ amount: '7', instrument: fake, memo: 'mallory' }) }),
        result: record({ output: variant('TransferInstructionResult_Completed', record({})) }),
      }),
      createHolding({ node: 3, cid: '00fake2', amount: '7', instrument: fake, signatories: [MALLORY] }),
      preapprovalSend({ node: 4, last: 5, memo: 'alice' }),
      createHolding({ node: 5, cid: '00ours', amount: '3' }),
    ]);

    expect(found.movements.filter(({ instrument }) => instrument.admin === ADMIN)).toMatchObject([
      { kind: 'DIRECT', direction: 'IN', memo: 'alice', amount: 30_000_000_000n },
    ]);
  });

  test('what we send under a label names no counterparty: the label knows the sender, and that is us', () => {
    const found = effects(
      [
        preapprovalSend({ node: 0, last: 2, memo: 'theirs', sender: TREASURY }),
        exercise({ node: 1, cid: '00old', consuming: true }),
        createHolding({ node: 2, cid: '00change', amount: '4' }),
      ],
      knowing({ '00old': '10' }),
    );

    expect(found.movements).toMatchObject([
      { kind: 'DIRECT', direction: 'OUT', amount: 60_000_000_000n, counterparty: null },
    ]);
  });

  test('an offer that the admin did not sign is no offer', () => {
    const found = effects([createOffer({ node: 0, cid: '00offer', amount: '5', signatories: [MALLORY] })]);

    expect(found.movements).toEqual([]);
    expect(found.instructionsOpened).toEqual([]);
    expect(found.anomalies).toEqual([{ code: 'UNSIGNED_OFFER', contractId: '00offer' }]);
  });

  test('malformed values in a stranger’s exercise are no claim and no error', () => {
    const malformed = [
      exercise({ node: 0, acting: [MALLORY], result: text('not a record') }),
      exercise({ node: 1, acting: [MALLORY], result: record({ meta: text('not metadata') }) }),
      exercise({
        node: 2,
        acting: [MALLORY],
        on: 'factory',
        choice: 'TransferFactory_Transfer',
        argument: record({ transfer: text('?') }),
      }),
      exercise({
        node: 3,
        acting: [MALLORY],
        consuming: true,
        on: 'instruction',
        choice: 'TransferInstruction_Accept',
        result: record({ output: variant('New', text('')) }),
      }),
    ];

    expect(effects(malformed)).toMatchObject({ movements: [], progress: [], anomalies: [] });
  });

  test('a view that a stranger made unreadable is reported; one that the treasury signed stops the update', () => {
    const unreadable = (signatories: string[]) =>
      effects([createHolding({ node: 0, cid: '00odd', amount: '1', signatories, status: 9 })]);

    expect(unreadable([MALLORY]).anomalies).toEqual([{ code: 'UNREADABLE_VIEW', contractId: '00odd' }]);
    expect(() => unreadable([ADMIN, TREASURY])).toThrow(DecodeError);
  });
});

describe('offers', () => {
  const output = (name: string, value = record({})) => record({ output: variant(name, value) });

  test('are pending and move nothing', () => {
    const found = effects([createOffer({ node: 0, cid: '00offer', amount: '1000', memo: 'acct-1' })]);

    expect(summary(found)).toEqual([
      { kind: 'OFFER', direction: 'IN', status: 'PENDING', amount: '1000.0000000000', memo: 'acct-1' },
    ]);
    expect(found.instructionsOpened).toMatchObject([{ contractId: '00offer', transferId: found.movements[0]?.id }]);
  });

  test.each([
    ['TransferInstruction_Accept', 'TransferInstructionResult_Completed', 'ACCEPTED', 'COMPLETED'],
    ['TransferInstruction_Reject', 'TransferInstructionResult_Failed', 'REJECTED', 'REJECTED'],
    ['TransferInstruction_Withdraw', 'TransferInstructionResult_Failed', 'WITHDRAWN', 'WITHDRAWN'],
    ['TransferInstruction_Update', 'TransferInstructionResult_Failed', 'EXPIRED', 'EXPIRED'],
    ['Archive', 'nothing', 'FAILED', 'FAILED'],
  ])('%s with %s ends the instruction as %s and the transfer as %s', (choice, outcome, instructionEnd, status) => {
    const found = effects(
      [
        exercise({
          node: 0,
          last: 3,
          cid: '00offer',
          consuming: true,
          on: 'instruction',
          choice,
          result: output(outcome),
        }),
      ],
      knowing({}, { '00offer': 'tr_1' }),
    );

    expect(found.instructionsEnded).toEqual([{ contractId: '00offer', status: instructionEnd }]);
    expect(found.progress).toEqual([{ transferId: 'tr_1', status, holdingsDelta: 0n }]);
    expect(found.movements).toEqual([]);
  });

  test('an acceptance brings what the holdings gained, once, also inside a wrapper', () => {
    const found = effects(
      [
        exercise({ node: 0, last: 20, choice: 'DelegateProxy_TransferInstruction_Accept' }),
        exercise({
          node: 2,
          last: 20,
          cid: '00offer',
          consuming: true,
          on: 'instruction',
          choice: 'TransferInstruction_Accept',
          acting: [TREASURY],
          result: output('TransferInstructionResult_Completed'),
        }),
        exercise({
          node: 4,
          last: 18,
          choice: 'TransferRule_Transfer',
          packageName: 'utility-registry-v0',
          module: 'Utility.Registry.V0.Rule.Transfer',
          entity: 'TransferRule',
          argument: record({ transfer: transferValue({ amount: '1000' }) }),
        }),
        createHolding({ node: 9, cid: '00ours', amount: '1000' }),
      ],
      knowing({}, { '00offer': 'tr_1' }),
    );

    expect(found.progress.map(({ holdingsDelta }) => formatAmount(holdingsDelta))).toEqual(['1000.0000000000']);
    expect(found.movements).toEqual([]);
  });

  test('an acceptance inside a labelled wrapper of ours is still the offer’s, with its memo', () => {
    const found = effects(
      [
        exercise({ node: 0, last: 4, acting: [TREASURY], result: labelledResult('transfer', 'wrapper') }),
        exercise({
          node: 1,
          last: 4,
          cid: '00offer',
          consuming: true,
          on: 'instruction',
          choice: 'TransferInstruction_Accept',
          acting: [TREASURY],
          result: output('TransferInstructionResult_Completed'),
        }),
        createHolding({ node: 3, cid: '00ours', amount: '5' }),
      ],
      knowing({}, { '00offer': 'tr_1' }),
    );

    expect(found.movements).toEqual([]);
    expect(found.progress).toEqual([{ transferId: 'tr_1', status: 'COMPLETED', holdingsDelta: 50_000_000_000n }]);
  });

  test('a successor continues the transfer of the offer it replaces', () => {
    const found = effects(
      [
        exercise({
          node: 0,
          last: 2,
          cid: '00first',
          consuming: true,
          on: 'instruction',
          choice: 'TransferInstruction_Update',
          result: output('TransferInstructionResult_Pending'),
        }),
        createOffer({ node: 1, cid: '00second', original: '00first', amount: '5' }),
      ],
      knowing({}, { '00first': 'tr_1' }),
    );

    expect(found.instructionsEnded).toEqual([{ contractId: '00first', status: 'REPLACED' }]);
    expect(found.instructionsOpened).toMatchObject([
      { contractId: '00second', originalContractId: '00first', transferId: 'tr_1' },
    ]);
    expect(found.progress).toEqual([{ transferId: 'tr_1', status: 'PENDING', holdingsDelta: 0n }]);
    expect(found.movements).toEqual([]);
  });

  test('of another instrument cannot continue an offer: its tokens would count as the other’s', () => {
    const fake = { admin: MALLORY, id: 'Fake' };
    const found = effects(
      [
        createOffer({
          node: 0,
          cid: '00fake',
          original: '00coin',
          instrument: fake,
          sender: TREASURY,
          receiver: MALLORY,
          amount: '1',
          signatories: [MALLORY],
        }),
        exercise({
          node: 1,
          last: 2,
          cid: '00fake',
          consuming: true,
          on: 'instruction',
          choice: 'TransferInstruction_Accept',
          acting: [MALLORY],
          result: output('TransferInstructionResult_Completed'),
        }),
        createHolding({ node: 2, cid: '00worthless', amount: '1000000', instrument: fake, signatories: [MALLORY] }),
      ],
      knowing({}, { '00coin': 'tr_coin' }),
    );

    expect(found.progress.map(({ transferId }) => transferId)).toEqual([found.movements[0]?.id]);
    expect(found.instructionsOpened).toMatchObject([{ contractId: '00fake', originalContractId: '00fake' }]);
    expect(found.movements).toMatchObject([{ instrument: fake }]);
  });

  test('made, replaced and accepted in one update are one transfer', () => {
    const found = effects([
      createOffer({ node: 0, cid: '00first', amount: '5', memo: 'acct-1' }),
      exercise({
        node: 1,
        last: 2,
        cid: '00first',
        consuming: true,
        on: 'instruction',
        choice: 'TransferInstruction_Update',
        result: output('TransferInstructionResult_Pending'),
      }),
      createOffer({ node: 2, cid: '00second', original: '00first', amount: '5', memo: 'acct-1' }),
      exercise({
        node: 3,
        last: 4,
        cid: '00second',
        consuming: true,
        on: 'instruction',
        choice: 'TransferInstruction_Accept',
        result: output('TransferInstructionResult_Completed'),
      }),
      createHolding({ node: 4, cid: '00ours', amount: '5' }),
    ]);

    expect(found.movements).toHaveLength(1);
    const id = found.movements[0]?.id;
    expect(found.progress).toMatchObject([
      { transferId: id, status: 'PENDING' },
      { transferId: id, status: 'COMPLETED', holdingsDelta: 50_000_000_000n },
    ]);
    expect(found.instructionsOpened.map(({ transferId }) => transferId)).toEqual([id, id]);
  });

  test('made and accepted in one update are one completed transfer', () => {
    const found = effects([
      createOffer({ node: 0, cid: '00offer', amount: '5', memo: 'acct-1' }),
      exercise({
        node: 1,
        last: 4,
        cid: '00offer',
        consuming: true,
        on: 'instruction',
        choice: 'TransferInstruction_Accept',
        result: output('TransferInstructionResult_Completed'),
      }),
      createHolding({ node: 3, cid: '00ours', amount: '5' }),
    ]);

    expect(found.movements).toHaveLength(1);
    expect(found.progress).toMatchObject([{ transferId: found.movements[0]?.id, status: 'COMPLETED' }]);
  });

  test('an acceptance of an offer from before our history is a completed transfer without terms', () => {
    const found = effects([
      exercise({
        node: 0,
        last: 4,
        cid: '00old',
        consuming: true,
        on: 'instruction',
        choice: 'TransferInstruction_Accept',
        acting: [TREASURY],
        result: output('TransferInstructionResult_Completed'),
      }),
      createHolding({ node: 3, cid: '00ours', amount: '5' }),
    ]);

    expect(summary(found)).toEqual([
      { kind: 'OFFER', direction: 'IN', status: 'COMPLETED', amount: '5.0000000000', memo: null },
    ]);
  });

  test('of ours, when the registry takes the funds at once, carry the loss until they end', () => {
    const factory = exercise({
      node: 0,
      last: 5,
      on: 'factory',
      choice: 'TransferFactory_Transfer',
      acting: [TREASURY],
      argument: record({ transfer: transferValue({ sender: TREASURY, receiver: ALICE, amount: '30' }) }),
      result: record({
        output: variant(
          'TransferInstructionResult_Pending',
          record({ transferInstructionCid: { sum: { $case: 'contractId', value: '00offer' } } }),
        ),
      }),
    });
    const found = effects(
      [
        factory,
        exercise({ node: 1, cid: '00old', consuming: true }),
        createHolding({ node: 2, cid: '00change', amount: '70' }),
        createOffer({
          node: 4,
          cid: '00offer',
          sender: TREASURY,
          receiver: ALICE,
          amount: '30',
          signatories: [ADMIN, TREASURY],
        }),
      ],
      knowing({ '00old': '100' }),
    );

    expect(found.movements).toMatchObject([
      { kind: 'OFFER', direction: 'OUT', status: 'PENDING', holdingsDelta: -300_000_000_000n },
    ]);
  });
});

test('whatever the tree, movements and progress add up to the change of the holdings', () => {
  const odd = effects(
    [
      exercise({ node: 0, last: 9, acting: [MALLORY], result: labelledResult('transfer', 'x') }),
      exercise({ node: 1, cid: '00old', consuming: true }),
      preapprovalSend({ node: 2, last: 4, memo: 'a' }),
      createHolding({ node: 3, cid: '00new', amount: '3' }),
      createHolding({ node: 8, cid: '00odd', amount: '11.5' }),
      exercise({ node: 10, cid: '00offer', consuming: true }),
      exercise({ node: 12, last: 14, acting: [ADMIN], result: labelledResult('a-kind-of-the-future') }),
      createHolding({ node: 13, cid: '00gift', amount: '0.25' }),
    ],
    knowing({ '00old': '10' }, { '00offer': 'tr_1' }),
  );

  const change = 30_000_000_000n + 115_000_000_000n + 2_500_000_000n - 100_000_000_000n;
  expect(sumAmounts([...odd.movements, ...odd.progress].map(({ holdingsDelta }) => holdingsDelta))).toBe(change);
  expect(odd.movements.every(({ instrument }) => instrument.admin === COIN.admin)).toBe(true);
});

test('ten thousand exercises around ten thousand instruments are read in seconds: what is read blocks everything else', () => {
  const count = 10_000;
  const events = Array.from({ length: count }, (_, index) => [
    exercise({ node: 2 * index, last: 2 * count, acting: [MALLORY], result: labelledResult('transfer', 'x') }),
    createHolding({
      node: 2 * index + 1,
      cid: `00${index}`,
      amount: '1',
      instrument: { admin: ADMIN, id: `t${index}` },
    }),
  ]).flat();

  const startedAt = performance.now();
  const found = effects(events);
  expect(found.movements).toHaveLength(count);
  expect(performance.now() - startedAt).toBeLessThan(10_000); // Quadratic in the instruments, it took a minute.
});
