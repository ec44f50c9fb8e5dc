/** The life of offers, on hand-made trees: made, replaced, ended in every way, and claimed by what is none of theirs. */
import { describe, expect, test } from 'vitest';
import { formatAmount } from '../../src/tokens/amount.ts';
import {
  ADMIN,
  ALICE,
  createHolding,
  createOffer,
  effects,
  exercise,
  knowing,
  labelledResult,
  record,
  TREASURY,
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

  test('a factory that claims to have made a successor explains nothing of what went', () => {
    const found = effects(
      [
        exercise({
          node: 0,
          last: 2,
          cid: '00held',
          consuming: true,
          on: 'factory',
          choice: 'TransferFactory_Transfer',
          acting: [TREASURY],
          argument: record({ transfer: transferValue({ sender: TREASURY, receiver: ALICE, amount: '1' }) }),
          result: output(
            'TransferInstructionResult_Pending',
            record({ transferInstructionCid: { sum: { $case: 'contractId', value: '00second' } } }),
          ),
        }),
        createOffer({ node: 1, cid: '00second', original: '00first', amount: '1' }),
      ],
      knowing({ '00held': '7' }, { '00first': 'tr_1' }),
    );

    expect(found.holdingsArchived).toEqual(['00held']);
    expect(found.movements).toMatchObject([{ kind: 'UNEXPLAINED', direction: 'OUT', holdingsDelta: -70_000_000_000n }]);
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
