import type { Case } from './case.ts';
import { coinAccept, coinDirect, coinOffer } from './coin-shapes.ts';
import { ALICE, archive, BOB, COIN, doing, holding, NOTE, offer, TREASURY, USDCX } from './contracts.ts';
import { batched, noteAccept, posing, proxied, utilityAccept, utilityDirect, utilityOffer } from './registry-shapes.ts';

const had = (owner: string, cid: string, amount: string, instrument = COIN) => ({ owner, cid, amount, instrument });
const toUs = (n: number, amount: string, memo?: string) => ({
  sender: ALICE,
  receiver: TREASURY,
  amount,
  ...(memo === undefined ? {} : { memo }),
  inputs: [`00in${n}`],
  output: `00out${n}`,
});
const offered = { sender: ALICE, receiver: TREASURY, amount: '5', memo: 'acct-5' };

export const TRICKY_CASES: readonly Case[] = [
  {
    name: 'several in one transaction: two sends to one treasury, another instrument, an acceptance, a stranger’s between',
    covers: ['6.3 1', '6.3 3'],
    given: [
      had(ALICE, '00in1', '1'),
      had(ALICE, '00in2', '2'),
      had(ALICE, '00in3', '3', USDCX),
      had(ALICE, '00lock', '5'),
    ],
    updates: [
      [offer('00offer', offered)],
      [
        batched(ALICE, [
          coinDirect('old', toUs(1, '1', 'acct-1')),
          coinDirect('new', { ...toUs(9, '9', 'acct-9'), receiver: BOB }),
          coinDirect('new', toUs(2, '2', 'acct-2')),
          utilityDirect({ ...toUs(3, '3', 'acct-3'), instrument: USDCX }),
          coinAccept('new', { ...offered, cid: '00offer', locked: '00lock', unlocked: '00free', output: '00out5' }),
        ]),
      ],
    ],
    views: {
      [TREASURY]: [
        ['OFFER IN PENDING 5 Amulet (0) from alice "acct-5"', 'opens 00offer IN of u0.0'],
        [
          'DIRECT IN COMPLETED 1 Amulet (+1) from alice "acct-1"',
          'DIRECT IN COMPLETED 2 Amulet (+2) from alice "acct-2"',
          'DIRECT IN COMPLETED 3 USDCx (+3) from alice "acct-3"',
          'u0.0 → COMPLETED (+5)',
          'ends 00offer ACCEPTED',
          'gains 00out1 1 Amulet',
          'gains 00out2 2 Amulet',
          'gains 00out3 3 USDCx',
          'gains 00out5 5 Amulet',
        ],
      ],
      [BOB]: [[], ['DIRECT IN COMPLETED 9 Amulet (+9) from alice "acct-9"', 'gains 00out9 9 Amulet']],
    },
  },
  {
    name: 'a deposit and a withdrawal in one transaction',
    covers: ['6.3 1'],
    given: [had(TREASURY, '00in2', '10'), had(ALICE, '00in1', '1')],
    updates: [
      [
        coinDirect('new', toUs(1, '1', 'acct-1')),
        coinDirect('old', {
          sender: TREASURY,
          receiver: ALICE,
          amount: '4',
          memo: 'wd',
          inputs: ['00in2'],
          output: '00paid',
          change: { cid: '00change', amount: '6' },
        }),
      ],
    ],
    views: {
      [TREASURY]: [
        [
          'DIRECT IN COMPLETED 1 Amulet (+1) from alice "acct-1"',
          'DIRECT OUT COMPLETED 4 Amulet (-4) to alice "wd"',
          'gains 00out1 1 Amulet',
          'gains 00change 6 Amulet',
          'loses 00in2',
        ],
      ],
    },
  },
  {
    name: 'a featured app’s proxy around a transfer, an offer and its acceptance: the wrapper says nothing',
    covers: ['4.4 i', '6.3 3'],
    given: [had(ALICE, '00in1', '1'), had(ALICE, '00in5', '5')],
    updates: [
      [proxied(ALICE, coinDirect('new', toUs(1, '1', 'acct-1')))],
      [
        proxied(
          ALICE,
          coinOffer('old', { ...offered, inputs: ['00in5'], locked: { cid: '00lock', amount: '5' }, cid: '00offer' }),
        ),
      ],
      [
        proxied(
          TREASURY,
          coinAccept('new', { ...offered, cid: '00offer', locked: '00lock', unlocked: '00free', output: '00out5' }),
        ),
      ],
    ],
    views: {
      [TREASURY]: [
        ['DIRECT IN COMPLETED 1 Amulet (+1) from alice "acct-1"', 'gains 00out1 1 Amulet'],
        ['OFFER IN PENDING 5 Amulet (0) from alice "acct-5"', 'opens 00offer IN of u1.0'],
        ['u1.0 → COMPLETED (+5)', 'ends 00offer ACCEPTED', 'gains 00out5 5 Amulet'],
      ],
      [ALICE]: [
        ['DIRECT OUT COMPLETED 1 Amulet (-1) to treasury "acct-1"', 'loses 00in1'],
        [
          'OFFER OUT PENDING 5 Amulet (0) to treasury "acct-5"',
          'opens 00offer OUT of u1.0',
          'gains 00lock 5 Amulet locked',
          'loses 00in5',
        ],
        ['u1.0 → COMPLETED (-5)', 'ends 00offer ACCEPTED', 'gains 00free 5 Amulet', 'loses 00lock', 'loses 00free'],
      ],
    },
  },
  {
    name: 'a wallet’s batch that calls itself one transfer: terms go before labels, and each transfer stays its own',
    covers: ['6.3 1', '6.3 3'],
    given: [had(TREASURY, '00in1', '1'), had(TREASURY, '00in2', '2')],
    updates: [
      [
        posing(
          TREASURY,
          [1, 2].map((n) =>
            coinDirect('new', { ...toUs(n, `${n}`, `wd-${n}`), sender: TREASURY, receiver: n === 1 ? ALICE : BOB }),
          ),
        ),
      ],
    ],
    views: {
      [TREASURY]: [
        [
          'DIRECT OUT COMPLETED 1 Amulet (-1) to alice "wd-1"',
          'DIRECT OUT COMPLETED 2 Amulet (-2) to bob "wd-2"',
          'loses 00in1',
          'loses 00in2',
        ],
      ],
    },
  },
  {
    name: 'an offer made and accepted before we look',
    covers: ['6.3 8'],
    given: [had(ALICE, '00lock', '5', USDCX)],
    updates: [
      [
        offer('00offer', { ...offered, instrument: USDCX }),
        utilityAccept({ ...offered, instrument: USDCX, cid: '00offer', locked: '00lock', output: '00out' }),
      ],
    ],
    views: {
      [TREASURY]: [
        [
          'OFFER IN PENDING 5 USDCx (0) from alice "acct-5"',
          'u0.0 → COMPLETED (+5)',
          'opens 00offer IN of u0.0',
          'ends 00offer ACCEPTED',
          'gains 00out 5 USDCx',
        ],
      ],
    },
  },
  {
    name: 'the acceptance of an offer we never saw: Canton Coin’s result tells the memo, the utility registry’s rule even the terms',
    covers: ['6.3 9', '6.3 6'],
    updates: [
      [coinAccept('new', { ...offered, cid: '00a', locked: '00lock', unlocked: '00free', output: '00outA' })],
      [coinAccept('old', { ...offered, cid: '00b', locked: '00lock', unlocked: '00free', output: '00outB' })],
      [utilityAccept({ ...offered, instrument: USDCX, cid: '00c', locked: '00lock', output: '00outC' })],
      [noteAccept({ ...offered, instrument: NOTE, cid: '00d', output: '00outD' })],
    ],
    views: {
      [TREASURY]: [
        ['OFFER IN COMPLETED 5 Amulet (+5) from alice "acct-5"', 'gains 00outA 5 Amulet'],
        ['OFFER IN COMPLETED 5 Amulet (+5) from ? null', 'gains 00outB 5 Amulet'],
        ['DIRECT IN COMPLETED 5 USDCx (+5) from alice "acct-5"', 'gains 00outC 5 USDCx'],
        ['OFFER IN COMPLETED 5 NOTE-A (+5) from alice "acct-5"', 'gains 00outD 5 NOTE-A'],
      ],
      [BOB]: [[], [], [], []],
    },
  },
  {
    name: 'more inputs than Canton Coin takes at once, from another registry',
    covers: ['6.3 11'],
    given: Array.from({ length: 101 }, (_, n) => had(TREASURY, `00in${n}`, '1', USDCX)),
    updates: [
      [
        utilityDirect({
          sender: TREASURY,
          receiver: ALICE,
          amount: '101',
          instrument: USDCX,
          inputs: Array.from({ length: 101 }, (_, n) => `00in${n}`),
          output: '00out',
        }),
      ],
    ],
    views: {
      [TREASURY]: [
        [
          'DIRECT OUT COMPLETED 101 USDCx (-101) to alice null',
          ...Array.from({ length: 101 }, (_, n) => `loses 00in${n}`),
        ],
      ],
    },
  },
  {
    name: 'a settlement of allocations, delivery against payment: what came waits for a person, what went is unexplained',
    covers: ['6.3 15'],
    given: [had(TREASURY, '00in', '10')],
    updates: [
      [
        doing({ choice: 'Settle', acting: [BOB], informed: [TREASURY] }, [
          doing(
            {
              choice: 'Allocation_ExecuteTransfer',
              consuming: true,
              cid: '00alloc1',
              acting: [BOB],
              informed: [TREASURY],
            },
            [archive(TREASURY, '00in'), holding(BOB, { cid: '00theirs', amount: '10' })],
          ),
          doing(
            {
              choice: 'Allocation_ExecuteTransfer',
              consuming: true,
              cid: '00alloc2',
              acting: [BOB],
              informed: [TREASURY],
            },
            [holding(TREASURY, { cid: '00out', amount: '7' }, { instrument: USDCX })],
          ),
        ]),
      ],
    ],
    views: {
      [TREASURY]: [
        [
          'UNEXPLAINED OUT COMPLETED 10 Amulet (-10) to ? null',
          'DIRECT IN COMPLETED 7 USDCx (+7) from ? null',
          'gains 00out 7 USDCx',
          'loses 00in',
        ],
      ],
    },
  },
  {
    name: 'offers of the utility registry in both directions at once',
    covers: ['4.4 h', '6.3 1'],
    given: [had(TREASURY, '00ours', '9', USDCX)],
    updates: [
      [
        utilityOffer({
          sender: TREASURY,
          receiver: ALICE,
          amount: '9',
          instrument: USDCX,
          inputs: ['00ours'],
          locked: { cid: '00lock1', amount: '9' },
          cid: '00offer1',
        }),
        utilityOffer({
          ...offered,
          instrument: USDCX,
          inputs: ['00theirs'],
          locked: { cid: '00lock2', amount: '5' },
          cid: '00offer2',
        }),
      ],
    ],
    views: {
      [TREASURY]: [
        [
          'OFFER OUT PENDING 9 USDCx (0) to alice null',
          'OFFER IN PENDING 5 USDCx (0) from alice "acct-5"',
          'opens 00offer1 OUT of u0.0',
          'opens 00offer2 IN of u0.1',
          'gains 00lock1 9 USDCx locked',
          'loses 00ours',
        ],
      ],
    },
  },
];
