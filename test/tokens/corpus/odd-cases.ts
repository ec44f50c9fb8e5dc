/** Odd memos and amounts, trimmed and unlabelled values, forgeries, losses, and what no ledger can have made. */
import type { Value } from '../../../src/gen/com/daml/ledger/api/v2/value.ts';
import { record } from '../../support/transactions.ts';
import type { Case } from './case.ts';
import { coinDirect, label, report } from './coin-shapes.ts';
import { ADMIN, ALICE, COIN, doing, FAKE, holding, MALLORY, offer, outcome, TREASURY } from './contracts.ts';
import { posing } from './registry-shapes.ts';
import type { Tree } from './tree.ts';

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
const LONG = 'm'.repeat(3_000);

/** The same without the fields that a node cuts: trailing `None`s. */
function trimmed(tree: Tree): Tree {
  return {
    ...tree,
    event: (node, last) => {
      const event = tree.event(node, last);
      if (event.event?.$case === 'created') {
        for (const { viewValue } of event.event.value.interfaceViews) {
          if (viewValue) viewValue.fields = viewValue.fields.filter(({ value }) => !isNone(value));
        }
      }
      return event;
    },
  };
}

function isNone(value: Value | undefined): boolean {
  return value?.sum?.$case === 'optional' && value.sum.value.value === undefined;
}

/** The same as a node sends it that was not asked to be verbose: without labels. */
function unlabelled(tree: Tree): Tree {
  return {
    ...tree,
    event: (node, last) => {
      const event = tree.event(node, last);
      if (event.event?.$case === 'created') {
        for (const { viewValue } of event.event.value.interfaceViews) {
          if (viewValue) viewValue.fields = viewValue.fields.map((field) => ({ ...field, label: '' }));
        }
      }
      return event;
    },
  };
}

export const ODD_CASES: readonly Case[] = [
  {
    name: 'what is sent to a divided account of ours, a part that a provider or a number keeps apart, is nobody’s deposit',
    covers: ['6.3 17'],
    updates: [
      ...(['V1', 'V2', 'BOTH'] as const).map((views) => [
        holding(TREASURY, { cid: `00provided-${views}`, amount: '5' }, { views, division: { provider: MALLORY } }),
        holding(TREASURY, { cid: `00numbered-${views}`, amount: '5' }, { views, division: { id: 'savings' } }),
        holding(TREASURY, { cid: `00plain-${views}`, amount: '1' }, { views }),
      ]),
    ],
    views: {
      [TREASURY]: (['V1', 'V2', 'BOTH'] as const).map((views) => [
        'DIRECT IN COMPLETED 1 Amulet (+1) from ? null',
        `gains 00plain-${views} 1 Amulet`,
        `! DIVIDED_ACCOUNT 00provided-${views}`,
        `! DIVIDED_ACCOUNT 00numbered-${views}`,
      ]),
    },
  },
  {
    name: 'memos: none, empty, unknown, too long, with control characters, two in one',
    covers: ['6.3 10'],
    given: [1, 2, 3, 4, 5].map((n) => had(ALICE, `00in${n}`, '1')),
    updates: [
      [
        coinDirect('new', toUs(1, '1')),
        coinDirect('old', toUs(2, '1', '')),
        coinDirect('new', toUs(3, '1', LONG)),
        coinDirect('old', toUs(4, '1', 'a\u0000\u202eb')),
        coinDirect('new', toUs(5, '1', 'acct-1 acct-2')),
      ],
    ],
    views: {
      [TREASURY]: [
        [
          'DIRECT IN COMPLETED 1 Amulet (+1) from alice null',
          'DIRECT IN COMPLETED 1 Amulet (+1) from alice ""',
          `DIRECT IN COMPLETED 1 Amulet (+1) from alice "${LONG}"`,
          'DIRECT IN COMPLETED 1 Amulet (+1) from alice "a\ufffd\u202eb"',
          'DIRECT IN COMPLETED 1 Amulet (+1) from alice "acct-1 acct-2"',
          ...[1, 2, 3, 4, 5].map((n) => `gains 00out${n} 1 Amulet`),
        ],
      ],
    },
  },
  {
    name: 'the same memo twice: two deposits',
    covers: ['6.3 14'],
    updates: [[coinDirect('new', toUs(1, '1', 'acct-1'))], [coinDirect('new', toUs(2, '1', 'acct-1'))]],
    views: {
      [TREASURY]: [1, 2].map((n) => [
        'DIRECT IN COMPLETED 1 Amulet (+1) from alice "acct-1"',
        `gains 00out${n} 1 Amulet`,
      ]),
    },
  },
  {
    name: 'amounts of the smallest and the largest kind, exact',
    covers: ['6.3 19'],
    updates: [
      [coinDirect('new', toUs(1, '0.0000000001', 'acct-1'))],
      [coinDirect('new', toUs(2, '9999999999999999999999999999.9999999999', 'acct-1'))],
    ],
    views: {
      [TREASURY]: [
        [
          'DIRECT IN COMPLETED 0.0000000001 Amulet (+0.0000000001) from alice "acct-1"',
          'gains 00out1 0.0000000001 Amulet',
        ],
        [
          'DIRECT IN COMPLETED 9999999999999999999999999999.9999999999 Amulet (+9999999999999999999999999999.9999999999) from alice "acct-1"',
          'gains 00out2 9999999999999999999999999999.9999999999 Amulet',
        ],
      ],
    },
  },
  {
    name: 'views whose trailing None fields are cut, and views without labels',
    covers: ['6.3 18'],
    updates: [
      [trimmed(holding(TREASURY, { cid: '00a', amount: '1' })), trimmed(offer('00offer', offered))],
      [unlabelled(holding(TREASURY, { cid: '00b', amount: '1' }))],
    ],
    views: {
      [TREASURY]: [
        [
          'DIRECT IN COMPLETED 1 Amulet (+1) from ? null',
          'OFFER IN PENDING 5 Amulet (0) from alice "acct-5"',
          'opens 00offer IN of u0.1',
          'gains 00a 1 Amulet',
        ],
        'refused',
      ],
    },
  },
  {
    name: 'Z10, Z11, Z12: forgeries of a holding, an offer, a label and a report',
    covers: ['6.3 17', '6.3 12'],
    given: [had(ALICE, '00in1', '1')],
    updates: [
      [holding(TREASURY, { cid: '00a', amount: '1000' }, { instrument: FAKE, signatories: [MALLORY, TREASURY] })],
      [holding(TREASURY, { cid: '00b', amount: '1000' }, { signatories: [MALLORY, TREASURY] })],
      [offer('00offer', { ...offered, sender: MALLORY }, { signatories: [MALLORY] })],
      [posing(MALLORY, [coinDirect('new', toUs(1, '1', 'acct-1'))], 'mallory')],
      [report(TREASURY, [], ['00c'], [{ side: 'ReceiverSide', otherside: ALICE, amount: '1000' }])],
    ],
    views: {
      [TREASURY]: [
        ['DIRECT IN COMPLETED 1000 Amulet@mallory (+1000) from ? null', 'gains 00a 1000 Amulet@mallory'],
        ['! UNSIGNED_HOLDING 00b'],
        ['! UNSIGNED_OFFER 00offer'],
        ['DIRECT IN COMPLETED 1 Amulet (+1) from alice "acct-1"', 'gains 00out1 1 Amulet'],
        ['! EVENT_LOG_DIFFERS 000'],
      ],
    },
  },
  {
    name: 'a loss of ours that nobody explains, beside a gain',
    covers: ['6.3 15'],
    given: [had(TREASURY, '00in', '10')],
    updates: [
      [
        doing({ choice: 'Whatever', acting: [MALLORY], informed: [TREASURY] }, [
          doing({ choice: 'Seize', acting: [MALLORY] }, [
            doing({ cid: '00in', consuming: true, choice: 'Archive', acting: [ADMIN, TREASURY] }, []),
            holding(TREASURY, { cid: '00rest', amount: '4' }),
          ]),
        ]),
      ],
    ],
    views: {
      [TREASURY]: [['UNEXPLAINED OUT COMPLETED 6 Amulet (-6) to ? null', 'gains 00rest 4 Amulet', 'loses 00in']],
    },
  },
  {
    name: 'a transaction that no ledger can have made',
    covers: ['6.3 20'],
    updates: [
      [holding(TREASURY, { cid: '00a', amount: '1' }), holding(TREASURY, { cid: '00a', amount: '1' })],
      [
        doing(
          {
            cid: '00x',
            consuming: true,
            choice: 'Archive',
            acting: [ALICE],
            informed: [TREASURY],
            result: outcome('Completed', label('mint')),
          },
          [],
        ),
        doing({ cid: '00x', consuming: true, acting: [ALICE], informed: [TREASURY], result: record({}) }, []),
      ],
    ],
    views: { [TREASURY]: ['refused', 'refused'] },
  },
];
