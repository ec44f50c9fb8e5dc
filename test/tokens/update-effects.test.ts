/** What a tree of events means in money, on hand-made trees: direct deposits, and what holds whatever the tree. The shapes of real registries are in `corpus`. */
import { describe, expect, test } from 'vitest';
import { formatAmount, sumAmounts } from '../../src/tokens/amount.ts';
import {
  ADMIN,
  ALICE,
  COIN,
  createHolding,
  effects,
  exercise,
  knowing,
  labelledResult,
  preapprovalSend,
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
