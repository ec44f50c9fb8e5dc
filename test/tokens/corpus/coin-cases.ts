/** Canton Coin: direct transfers, offers to their ends, merges, and what changes a balance without a transfer. Both package generations live side by side. */
import type { Case } from './case.ts';
import {
  coinAccept,
  coinBurn,
  coinDirect,
  coinDust,
  coinMerge,
  coinOffer,
  coinReturn,
  coinTap,
  type Generation,
} from './coin-shapes.ts';
import { ADMIN, ALICE, archive, COIN, doing, holding, TREASURY, VAULT } from './contracts.ts';

const had = (owner: string, cid: string, amount: string) => ({ owner, cid, amount, instrument: COIN });

const OFFERED = { sender: ALICE, receiver: TREASURY, amount: '1000', memo: 'acct-1' };
const MADE = { ...OFFERED, inputs: ['00in'], locked: { cid: '00lock', amount: '1000' }, cid: '00offer' };
const ENDED = { ...OFFERED, cid: '00offer', locked: '00lock', unlocked: '00free' };
const RECEIVED = ['OFFER IN PENDING 1000 Amulet (0) from alice "acct-1"', 'opens 00offer IN of u0.0'];
const GIVEN_OUT = ['OFFER OUT PENDING 1000 Amulet (0) to treasury "acct-1"', 'opens 00offer OUT of u0.0'];

const ofGeneration = (generation: Generation): readonly Case[] => {
  const shape = generation === 'old' ? '4.4 a' : '4.4 b';
  return [
    {
      name: `${generation} coin, direct, with change`,
      covers: [shape, '6.3 2', '6.3 4', '6.3 16'],
      given: [had(ALICE, '00in', '300')],
      updates: [
        [
          coinDirect(generation, {
            ...OFFERED,
            amount: '200',
            inputs: ['00in'],
            output: '00out',
            change: { cid: '00change', amount: '100' },
          }),
        ],
      ],
      views: {
        [TREASURY]: [['DIRECT IN COMPLETED 200 Amulet (+200) from alice "acct-1"', 'gains 00out 200 Amulet']],
        [ALICE]: [
          ['DIRECT OUT COMPLETED 200 Amulet (-200) to treasury "acct-1"', 'gains 00change 100 Amulet', 'loses 00in'],
        ],
      },
    },
    {
      name: `${generation} coin, direct, two inputs, a fee and no change`,
      covers: [shape, '6.3 11'],
      given: [had(ALICE, '00in1', '150'), had(ALICE, '00in2', '51.5')],
      updates: [[coinDirect(generation, { ...OFFERED, amount: '200', inputs: ['00in1', '00in2'], output: '00out' })]],
      views: {
        [TREASURY]: [['DIRECT IN COMPLETED 200 Amulet (+200) from alice "acct-1"', 'gains 00out 200 Amulet']],
        [ALICE]: [
          [
            'DIRECT OUT COMPLETED 200 Amulet (-201.5) to treasury "acct-1"',
            'loses 00in1',
            'loses 00in2',
            ...(generation === 'new' ? ['! EVENT_LOG_DIFFERS 0010'] : []), // The admin's own report does not know of the fee.
          ],
        ],
      },
    },
    {
      name: `${generation} coin, direct, between two of our own treasuries: each sees its side of one transfer`,
      covers: [shape],
      given: [had(VAULT, '00in', '300')],
      updates: [
        [coinDirect(generation, { ...OFFERED, sender: VAULT, amount: '300', inputs: ['00in'], output: '00out' })],
      ],
      views: {
        [TREASURY]: [['DIRECT IN COMPLETED 300 Amulet (+300) from vault "acct-1"', 'gains 00out 300 Amulet']],
        [VAULT]: [['DIRECT OUT COMPLETED 300 Amulet (-300) to treasury "acct-1"', 'loses 00in']],
      },
    },
    {
      name: `${generation} coin, offered and accepted`,
      covers: ['4.4 c', '4.4 d', ...(generation === 'old' ? ['6.3 6'] : ['6.3 12', '6.3 13'])],
      given: [had(ALICE, '00in', '1005')],
      updates: [
        [coinOffer(generation, { ...MADE, change: { cid: '00change', amount: '5' } })],
        [coinAccept(generation, { ...ENDED, output: '00out' })],
      ],
      views: {
        [TREASURY]: [RECEIVED, ['u0.0 → COMPLETED (+1000)', 'ends 00offer ACCEPTED', 'gains 00out 1000 Amulet']],
        [ALICE]: [
          [...GIVEN_OUT, 'gains 00lock 1000 Amulet locked', 'gains 00change 5 Amulet', 'loses 00in'],
          [
            'u0.0 → COMPLETED (-1000)',
            'ends 00offer ACCEPTED',
            'gains 00free 1000 Amulet',
            'loses 00lock',
            'loses 00free',
          ],
        ],
      },
    },
    {
      name: `${generation} coin, offered with the fee of its acceptance in the lock`,
      covers: ['4.4 d'],
      given: [had(ALICE, '00in', '1003')],
      updates: [
        [coinOffer('old', { ...MADE, locked: { cid: '00lock', amount: '1003' } })],
        [coinAccept('old', { ...ENDED, output: '00out', lockedAmount: '1003' })],
      ],
      views: {
        [TREASURY]: [RECEIVED, ['u0.0 → COMPLETED (+1000)', 'ends 00offer ACCEPTED', 'gains 00out 1000 Amulet']],
        [ALICE]: [
          [...GIVEN_OUT, 'gains 00lock 1003 Amulet locked', 'loses 00in'],
          [
            'u0.0 → COMPLETED (-1003)',
            'ends 00offer ACCEPTED',
            'gains 00free 1003 Amulet',
            'loses 00lock',
            'loses 00free',
          ],
        ],
      },
    },
    ...(['Reject', 'Withdraw', 'Update'] as const).flatMap((choice): Case[] => {
      const status = { Reject: 'REJECTED', Withdraw: 'WITHDRAWN', Update: 'EXPIRED' }[choice];
      const end = [`u0.0 → ${status} (0)`, `ends 00offer ${status}`];
      return [
        {
          name: `${generation} coin, offered and ended by ${choice}`,
          covers: ['4.4 e', ...(choice === 'Update' ? ['6.3 8'] : [])],
          given: [had(ALICE, '00in', '1000')],
          updates: [[coinOffer(generation, MADE)], [coinReturn(generation, choice, ENDED)]],
          views: {
            [TREASURY]: [RECEIVED, end],
            [ALICE]: [
              [...GIVEN_OUT, 'gains 00lock 1000 Amulet locked', 'loses 00in'],
              [...end, 'gains 00free 1000 Amulet', 'loses 00lock'],
            ],
          },
        },
        {
          name: `${generation} coin, offered, its lock long released, and ended by ${choice}: nothing comes back`,
          covers: ['4.4 e', '6.3 7'],
          given: [had(ALICE, '00in', '1000')],
          updates: [
            [coinOffer(generation, MADE)],
            [
              doing({ cid: '00lock', consuming: true, choice: 'LockedAmulet_OwnerExpireLock', acting: [ALICE] }, [
                holding(ALICE, { cid: '00free', amount: '1000' }),
              ]),
            ],
            [coinReturn(generation, choice, ENDED, { isGone: true })],
          ],
          views: {
            [TREASURY]: [RECEIVED, [], end],
            [ALICE]: [
              [...GIVEN_OUT, 'gains 00lock 1000 Amulet locked', 'loses 00in'],
              ['gains 00free 1000 Amulet', 'loses 00lock'],
              end,
            ],
          },
        },
      ];
    }),
    {
      name: `${generation} coin, merged`,
      covers: ['4.4 f'],
      given: [had(TREASURY, '00in1', '10'), had(TREASURY, '00in2', '20')],
      updates: [
        [
          coinMerge(generation, {
            sender: TREASURY,
            receiver: TREASURY,
            amount: '30',
            memo: 'alice-memo',
            inputs: ['00in1', '00in2'],
            output: '00out',
          }),
        ],
      ],
      views: {
        [TREASURY]: [
          [
            'MERGE SELF COMPLETED 30 Amulet (0) self "alice-memo"',
            'gains 00out 30 Amulet',
            'loses 00in1',
            'loses 00in2',
          ],
        ],
      },
    },
    {
      name: `${generation} coin, split, an expired lock of our own released on the way`,
      covers: ['4.4 f', '6.3 7'],
      given: [had(TREASURY, '00lock', '25')],
      updates: [
        [
          coinMerge(
            generation,
            {
              sender: TREASURY,
              receiver: TREASURY,
              amount: '10',
              inputs: ['00free'],
              output: '00out',
              change: { cid: '00change', amount: '15' },
            },
            { locked: '00lock', unlocked: '00free', amount: '25' },
          ),
        ],
      ],
      views: {
        [TREASURY]: [
          [
            'MERGE SELF COMPLETED 10 Amulet (0) self null',
            'gains 00free 25 Amulet',
            'gains 00out 10 Amulet',
            'gains 00change 15 Amulet',
            'loses 00lock',
            'loses 00free',
          ],
        ],
      },
    },
  ];
};

const REST: readonly Case[] = [
  {
    name: 'coin tapped on a development network',
    covers: ['4.4 g', '6.3 15'],
    updates: [[coinTap(TREASURY, { cid: '00out', amount: '50' })]],
    views: { [TREASURY]: [['MINT IN COMPLETED 50 Amulet (+50) from ? null', 'gains 00out 50 Amulet']] },
  },
  {
    name: 'coin burned for traffic, with change',
    covers: ['4.4 g', '6.3 15'],
    given: [had(TREASURY, '00in', '10')],
    updates: [[coinBurn(TREASURY, '00in', { cid: '00change', amount: '7' })]],
    views: {
      [TREASURY]: [['BURN OUT COMPLETED 3 Amulet (-3) to ? null', 'gains 00change 7 Amulet', 'loses 00in']],
    },
  },
  {
    name: 'dust that the DSO takes',
    covers: ['6.3 15'],
    given: [had(TREASURY, '00in', '0.0001')],
    updates: [[coinDust(TREASURY, '00in')]],
    views: { [TREASURY]: [['BURN OUT COMPLETED 0.0001 Amulet (-0.0001) to ? null', 'loses 00in']] },
  },
  {
    name: 'a reward minted without a word: somebody’s, who must be found out',
    covers: ['4.4 g', '6.3 15'],
    updates: [
      [
        doing({ choice: 'Mint', acting: [ADMIN], informed: [TREASURY] }, [
          holding(TREASURY, { cid: '00out', amount: '4' }),
        ]),
      ],
    ],
    views: { [TREASURY]: [['DIRECT IN COMPLETED 4 Amulet (+4) from ? null', 'gains 00out 4 Amulet']] },
  },
  {
    name: 'a holding of ours locked and released outside of any transfer moves nothing',
    covers: ['6.3 7'],
    given: [had(TREASURY, '00in', '9')],
    updates: [
      [
        doing({ choice: 'Lock', acting: [TREASURY] }, [
          archive(TREASURY, '00in'),
          holding(TREASURY, { cid: '00lock', amount: '9' }, { lockHolders: [ALICE] }),
        ]),
      ],
      [
        doing({ choice: 'Release', acting: [ALICE], informed: [TREASURY] }, [
          archive(TREASURY, '00lock'),
          holding(TREASURY, { cid: '00out', amount: '9' }),
        ]),
      ],
    ],
    views: {
      [TREASURY]: [
        ['gains 00lock 9 Amulet locked', 'loses 00in'],
        ['gains 00out 9 Amulet', 'loses 00lock'],
      ],
    },
  },
];

export const COIN_CASES: readonly Case[] = [...ofGeneration('old'), ...ofGeneration('new'), ...REST];
