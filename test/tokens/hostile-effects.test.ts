/** What is not believed of a transaction: hand-made trees that an honest network rarely or never produces. */
import { describe, expect, test } from 'vitest';
import { formatAmount } from '../../src/tokens/amount.ts';
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

describe('what cannot be believed', () => {
  test('Z10: the same instrument id under another admin is another instrument', () => {
    const fake = { admin: MALLORY, id: 'Amulet' };
    const found = effects([
      preapprovalSend({ node: 0, last: 1, memo: 'acct-1' }),
      createHolding({ node: 1, cid: '00fake', amount: '1000000', instrument: fake }),
    ]);

    expect(found.movements.map(({ instrument }) => instrument)).toEqual([fake]);
  });

  test('Z10: what another admin sends beside it under the same instrument id adds nothing to a deposit', () => {
    const fake = { admin: MALLORY, id: COIN.id };
    const found = effects([
      preapprovalSend({ node: 0, last: 2, memo: 'acct-1' }),
      createHolding({ node: 1, cid: '00coin', amount: '5' }),
      createHolding({ node: 2, cid: '00fake', amount: '1000000', instrument: fake }),
    ]);

    const worth = found.movements.map(({ instrument, amount }) => [instrument, formatAmount(amount)]);
    expect(worth).toContainEqual([COIN, '5.0000000000']);
    expect(worth).toContainEqual([fake, '1000000.0000000000']);
    expect(worth).toHaveLength(2);
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

  test('Z12: what only a stranger labels is nobody’s deposit, and still counted', () => {
    const found = effects([
      exercise({ node: 0, last: 9, acting: [MALLORY], result: labelledResult('transfer', 'mallorys-account') }),
      exercise({ node: 3, last: 9, acting: [MALLORY], choice: 'Deliver' }),
      createHolding({ node: 5, cid: '00ours', amount: '7' }),
    ]);

    expect(summary(found)).toEqual([
      { kind: 'DIRECT', direction: 'IN', status: 'COMPLETED', amount: '7.0000000000', memo: null },
    ]);
  });

  test('a registry that nobody has heard of is believed where the admin’s authority shows that it signed the contract', () => {
    const found = effects([
      exercise({ node: 0, last: 9, acting: [MALLORY], result: labelledResult('transfer', 'mallorys-account') }),
      exercise({ node: 3, last: 9, acting: [ALICE], choice: 'Deliver', result: labelledResult('transfer', 'acct-1') }),
      createHolding({ node: 5, cid: '00ours', amount: '7' }),
    ]);

    expect(summary(found)).toEqual([
      { kind: 'DIRECT', direction: 'IN', status: 'COMPLETED', amount: '7.0000000000', memo: 'acct-1' },
    ]);
  });

  test('receipts that nobody explains stay apart, so that each can be assigned; a loss among them is unexplained', () => {
    const received = [
      createHolding({ node: 0, cid: '00a', amount: '1' }),
      createHolding({ node: 1, cid: '00b', amount: '2' }),
    ];
    const spent = exercise({ node: 2, cid: '00old', consuming: true, acting: [MALLORY] });

    expect(summary(effects(received)).map(({ kind, amount }) => [kind, amount])).toEqual([
      ['DIRECT', '1.0000000000'],
      ['DIRECT', '2.0000000000'],
    ]);
    expect(effects([...received, spent], knowing({ '00old': '10' })).movements).toMatchObject([
      { kind: 'UNEXPLAINED', direction: 'OUT', holdingsDelta: -70_000_000_000n },
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
      { kind: 'DIRECT', instrument: fake, memo: null, holdingsDelta: 10_000_000_000_000_000n },
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

  test('a lock of a kind that we do not know is not read as none: that would make a locked holding a free one', () => {
    const locked = createHolding({ node: 0, cid: '00odd', amount: '1', lockHolders: [ALICE] });
    if (locked.event?.$case !== 'created') throw new Error('No creation.');
    const lock = locked.event.value.interfaceViews[0]?.viewValue?.fields.find(({ label }) => label === 'lock');
    if (lock?.value?.sum?.$case !== 'optional') throw new Error('No lock.');
    lock.value.sum.value.value = { sum: undefined };

    expect(() => effects([locked])).toThrow(DecodeError);
  });

  test('a choice with the name of a property of every object is no choice of the standard', () => {
    const odd = exercise({
      node: 0,
      cid: '00offer',
      consuming: true,
      on: 'instruction',
      choice: 'constructor',
      result: record({ output: variant('TransferInstructionResult_Failed', record({})) }),
    });

    expect(effects([odd], knowing({}, { '00offer': 'tr_1' })).instructionsEnded).toEqual([
      { contractId: '00offer', status: 'FAILED' },
    ]);
  });

  test('a view that a stranger made unreadable is reported; one that the treasury signed stops the update', () => {
    const unreadable = (signatories: string[]) =>
      effects([createHolding({ node: 0, cid: '00odd', amount: '1', signatories, status: 9 })]);

    expect(unreadable([MALLORY]).anomalies).toEqual([{ code: 'UNREADABLE_VIEW', contractId: '00odd' }]);
    expect(() => unreadable([ADMIN, TREASURY])).toThrow(DecodeError);
  });
});
