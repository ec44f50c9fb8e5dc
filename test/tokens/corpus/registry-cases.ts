/** Other registries: USDCx and its like, one that nobody has heard of, the second generation of the standard, and offers that evolve. */
import type { Case } from './case.ts';
import {
  ALICE,
  archive,
  BOB,
  doing,
  holding,
  ISSUER,
  NOTE,
  offer,
  outcome,
  TREASURY,
  USDCX,
  VAULT,
} from './contracts.ts';
import {
  burnMint,
  noteAccept,
  noteDirect,
  noteOffer,
  plainReturn,
  replaced,
  secondDirect,
  secondEnd,
  utilityAccept,
  utilityBurn,
  utilityDirect,
  utilityMint,
  utilityOffer,
} from './registry-shapes.ts';

const usdcx = (owner: string, cid: string, amount: string) => ({ owner, cid, amount, instrument: USDCX });
const note = (owner: string, cid: string, amount: string) => ({ owner, cid, amount, instrument: NOTE });

const DOLLARS = { sender: ALICE, receiver: TREASURY, amount: '1000', memo: 'acct-1', instrument: USDCX };
const NOTES = { ...DOLLARS, instrument: NOTE };
const locked = { cid: '00lock', amount: '1000' };
const incoming = (id: string) => [`OFFER IN PENDING 1000 ${id} (0) from alice "acct-1"`, 'opens 00offer IN of u0.0'];
const outgoing = (id: string, delta = '0') => [
  `OFFER OUT PENDING 1000 ${id} (${delta}) to treasury "acct-1"`,
  'opens 00offer OUT of u0.0',
];

const expiry = {
  consuming: true,
  on: 'instruction',
  choice: 'TransferInstruction_Update',
  result: outcome('Failed'),
} as const;

const UTILITY: readonly Case[] = [
  ...[false, true].map(
    (isInterposed): Case => ({
      name: `USDCx, direct${isInterposed ? ', with a step of the factory between' : ''}`,
      covers: ['4.4 h'],
      given: [usdcx(ALICE, '00in', '1500')],
      updates: [
        [
          utilityDirect(
            { ...DOLLARS, inputs: ['00in'], output: '00out', change: { cid: '00change', amount: '500' } },
            { isInterposed },
          ),
        ],
      ],
      views: {
        [TREASURY]: [['DIRECT IN COMPLETED 1000 USDCx (+1000) from alice "acct-1"', 'gains 00out 1000 USDCx']],
        [ALICE]: [
          ['DIRECT OUT COMPLETED 1000 USDCx (-1000) to treasury "acct-1"', 'gains 00change 500 USDCx', 'loses 00in'],
        ],
      },
    }),
  ),
  ...['TransferRule_Transfer', 'TransferRule_TwoStepTransfer'].map(
    (rule): Case => ({
      name: `USDCx, offered and accepted by ${rule}: the receiver sees the sender’s locked holding, and no label`,
      covers: ['4.4 h', '6.3 5', '6.3 6', '6.3 2'],
      given: [usdcx(ALICE, '00in', '1000')],
      updates: [
        [utilityOffer({ ...DOLLARS, inputs: ['00in'], locked, cid: '00offer' })],
        [utilityAccept({ ...DOLLARS, cid: '00offer', locked: '00lock', output: '00out' }, rule)],
      ],
      views: {
        [TREASURY]: [
          incoming('USDCx'),
          ['u0.0 → COMPLETED (+1000)', 'ends 00offer ACCEPTED', 'gains 00out 1000 USDCx'],
        ],
        [ALICE]: [
          [...outgoing('USDCx'), 'gains 00lock 1000 USDCx locked', 'loses 00in'],
          ['u0.0 → COMPLETED (-1000)', 'ends 00offer ACCEPTED', 'loses 00lock'],
        ],
      },
    }),
  ),
  ...(['Reject', 'Withdraw', 'Update'] as const).map((choice): Case => {
    const status = { Reject: 'REJECTED', Withdraw: 'WITHDRAWN', Update: 'EXPIRED' }[choice];
    const end = [`u0.0 → ${status} (0)`, `ends 00offer ${status}`];
    return {
      name: `USDCx, offered and ended by ${choice}`,
      covers: ['4.4 h', '6.3 5'],
      given: [usdcx(ALICE, '00in', '1000')],
      updates: [
        [utilityOffer({ ...DOLLARS, inputs: ['00in'], locked, cid: '00offer' })],
        [plainReturn(choice, { ...DOLLARS, cid: '00offer', locked: '00lock' }, { cid: '00back', amount: '1000' })],
      ],
      views: {
        [TREASURY]: [incoming('USDCx'), end],
        [ALICE]: [
          [...outgoing('USDCx'), 'gains 00lock 1000 USDCx locked', 'loses 00in'],
          [...end, 'gains 00back 1000 USDCx', 'loses 00lock'],
        ],
      },
    };
  }),
  {
    name: 'USDCx minted and burned, in the registry’s two ways',
    covers: ['4.4 h', '4.4 g', '6.3 15'],
    updates: [
      [utilityMint(TREASURY, { cid: '00a', amount: '70' }, USDCX)],
      [utilityBurn(TREASURY, '00a')],
      [burnMint(TREASURY, [], [{ cid: '00b', amount: '5' }], USDCX)],
      [burnMint(TREASURY, ['00b'], [{ cid: '00c', amount: '3' }], USDCX)],
      [burnMint(TREASURY, ['00c'], [{ cid: '00d', amount: '3' }], USDCX)],
    ],
    views: {
      [TREASURY]: [
        ['MINT IN COMPLETED 70 USDCx (+70) from ? null', 'gains 00a 70 USDCx'],
        ['BURN OUT COMPLETED 70 USDCx (-70) to ? null', 'loses 00a'],
        ['MINT IN COMPLETED 5 USDCx (+5) from ? null', 'gains 00b 5 USDCx'],
        ['BURN OUT COMPLETED 2 USDCx (-2) to ? null', 'gains 00c 3 USDCx', 'loses 00b'],
        ['MERGE SELF COMPLETED 0 USDCx (0) self null', 'gains 00d 3 USDCx', 'loses 00c'],
      ],
    },
  },
];

const UNKNOWN: readonly Case[] = [
  {
    name: 'a registry nobody has heard of, direct, its label believed as its admin signed the consent',
    covers: ['6.3 3'],
    given: [note(ALICE, '00in', '1200')],
    updates: [
      [noteDirect({ ...NOTES, inputs: ['00in'], output: '00out', change: { cid: '00change', amount: '200' } })],
    ],
    views: {
      [TREASURY]: [['DIRECT IN COMPLETED 1000 NOTE-A (+1000) from alice "acct-1"', 'gains 00out 1000 NOTE-A']],
      [ALICE]: [
        ['DIRECT OUT COMPLETED 1000 NOTE-A (-1000) to treasury "acct-1"', 'gains 00change 200 NOTE-A', 'loses 00in'],
      ],
    },
  },
  {
    name: 'the same without any label: a receipt that waits for a person',
    covers: ['6.3 10'],
    given: [note(ALICE, '00in', '1000')],
    updates: [[noteDirect({ ...NOTES, inputs: ['00in'], output: '00out' }, { isLabelled: false })]],
    views: {
      [TREASURY]: [['DIRECT IN COMPLETED 1000 NOTE-A (+1000) from ? null', 'gains 00out 1000 NOTE-A']],
      [ALICE]: [['DIRECT OUT COMPLETED 1000 NOTE-A (-1000) to treasury "acct-1"', 'loses 00in']],
    },
  },
  {
    name: 'an offer whose funds the registry keeps itself, accepted: the loss is there from the start',
    covers: ['4.4 c', '4.4 d'],
    given: [note(ALICE, '00in', '1000')],
    updates: [
      [noteOffer({ ...NOTES, inputs: ['00in'], cid: '00offer' })],
      [noteAccept({ ...NOTES, cid: '00offer', output: '00out' })],
    ],
    views: {
      [TREASURY]: [
        incoming('NOTE-A'),
        ['u0.0 → COMPLETED (+1000)', 'ends 00offer ACCEPTED', 'gains 00out 1000 NOTE-A'],
      ],
      [ALICE]: [
        [...outgoing('NOTE-A', '-1000'), 'loses 00in'],
        ['u0.0 → COMPLETED (0)', 'ends 00offer ACCEPTED'],
      ],
    },
  },
  {
    name: 'an offer whose funds the registry keeps itself, expired: they come back less a fee',
    covers: ['4.4 e'],
    given: [note(ALICE, '00in', '1000')],
    updates: [
      [noteOffer({ ...NOTES, inputs: ['00in'], cid: '00offer' })],
      [
        doing({ ...expiry, cid: '00offer', acting: [ISSUER], informed: [ALICE, TREASURY] }, [
          holding(ALICE, { cid: '00back', amount: '998' }, { instrument: NOTE }),
        ]),
      ],
    ],
    views: {
      [TREASURY]: [incoming('NOTE-A'), ['u0.0 → EXPIRED (0)', 'ends 00offer EXPIRED']],
      [ALICE]: [
        [...outgoing('NOTE-A', '-1000'), 'loses 00in'],
        ['u0.0 → EXPIRED (+998)', 'ends 00offer EXPIRED', 'gains 00back 998 NOTE-A'],
      ],
    },
  },
  {
    name: 'an offer consumed by a choice that is none of the standard’s ends in a way we cannot read',
    covers: ['6.3 8'],
    given: [note(ALICE, '00in', '1000')],
    updates: [
      [noteOffer({ ...NOTES, inputs: ['00in'], locked, cid: '00offer' })],
      [
        doing(
          { cid: '00offer', consuming: true, choice: 'Ticket_Void', acting: [ISSUER], informed: [ALICE, TREASURY] },
          [archive(ALICE, '00lock', ISSUER), holding(ALICE, { cid: '00back', amount: '1000' }, { instrument: NOTE })],
        ),
      ],
    ],
    views: {
      [TREASURY]: [incoming('NOTE-A'), ['u0.0 → FAILED (0)', 'ends 00offer FAILED']],
      [ALICE]: [
        [...outgoing('NOTE-A'), 'gains 00lock 1000 NOTE-A locked', 'loses 00in'],
        ['u0.0 → FAILED (0)', 'ends 00offer FAILED', 'gains 00back 1000 NOTE-A', 'loses 00lock'],
      ],
    },
  },
  {
    name: 'an offer that evolves by the admin’s steps, each naming the one before or the first',
    covers: ['4.4 e'],
    given: [note(ALICE, '00in', '1000')],
    updates: [
      [noteOffer({ ...NOTES, inputs: ['00in'], locked, cid: '00offer' })],
      [replaced('Update', '00offer', '00second', NOTES)],
      [replaced('Update', '00second', '00third', NOTES, { original: '00offer' })],
      [noteAccept({ ...NOTES, cid: '00third', locked: '00lock', output: '00out' })],
    ],
    views: {
      [TREASURY]: [
        incoming('NOTE-A'),
        ['u0.0 → PENDING (0)', 'opens 00second IN of u0.0 after 00offer', 'ends 00offer REPLACED'],
        ['u0.0 → PENDING (0)', 'opens 00third IN of u0.0 after 00offer', 'ends 00second REPLACED'],
        ['u0.0 → COMPLETED (+1000)', 'ends 00third ACCEPTED', 'gains 00out 1000 NOTE-A'],
      ],
      [ALICE]: [
        [...outgoing('NOTE-A'), 'gains 00lock 1000 NOTE-A locked', 'loses 00in'],
        ['u0.0 → PENDING (0)', 'opens 00second OUT of u0.0 after 00offer', 'ends 00offer REPLACED'],
        ['u0.0 → PENDING (0)', 'opens 00third OUT of u0.0 after 00offer', 'ends 00second REPLACED'],
        ['u0.0 → COMPLETED (-1000)', 'ends 00third ACCEPTED', 'loses 00lock'],
      ],
    },
  },
  {
    name: 'an offer that the receiver’s acceptance moves on, taking the funds, and the admin rejects in the end',
    covers: ['4.4 e'],
    given: [note(ALICE, '00in', '1000')],
    updates: [
      [noteOffer({ ...NOTES, inputs: ['00in'], locked, cid: '00offer' })],
      [replaced('Accept', '00offer', '00second', NOTES, { below: [archive(ALICE, '00lock', ISSUER)] })],
      [
        doing({ ...expiry, cid: '00second', acting: [ISSUER], informed: [ALICE, TREASURY] }, [
          holding(ALICE, { cid: '00back', amount: '1000' }, { instrument: NOTE }),
        ]),
      ],
    ],
    views: {
      [TREASURY]: [
        incoming('NOTE-A'),
        ['u0.0 → PENDING (0)', 'opens 00second IN of u0.0 after 00offer', 'ends 00offer REPLACED'],
        ['u0.0 → EXPIRED (0)', 'ends 00second EXPIRED'],
      ],
      [ALICE]: [
        [...outgoing('NOTE-A'), 'gains 00lock 1000 NOTE-A locked', 'loses 00in'],
        ['u0.0 → PENDING (-1000)', 'opens 00second OUT of u0.0 after 00offer', 'ends 00offer REPLACED', 'loses 00lock'],
        ['u0.0 → EXPIRED (+1000)', 'ends 00second EXPIRED', 'gains 00back 1000 NOTE-A'],
      ],
    },
  },
];

const SECOND: readonly Case[] = [
  {
    name: 'a token of the second generation alone, direct, its event log agreeing',
    covers: ['6.3 12', '6.3 13'],
    given: [note(ALICE, '00in', '1500')],
    updates: [
      [secondDirect({ ...NOTES, inputs: ['00in'], output: '00out', change: { cid: '00change', amount: '500' } })],
    ],
    views: {
      [TREASURY]: [['DIRECT IN COMPLETED 1000 NOTE-A (+1000) from alice "acct-1"', 'gains 00out 1000 NOTE-A']],
      [ALICE]: [
        ['DIRECT OUT COMPLETED 1000 NOTE-A (-1000) to treasury "acct-1"', 'gains 00change 500 NOTE-A', 'loses 00in'],
      ],
    },
  },
  ...[false, true].map(
    (callsFirst): Case => ({
      name: `an offer of the second generation, accepted by its own choice, ${callsFirst ? 'which calls the first’s' : 'which archives it'}`,
      covers: ['6.3 13', '4.4 d'],
      given: [note(ALICE, '00lock', '1000')],
      updates: [
        [offer('00offer', NOTES, { views: callsFirst ? 'BOTH' : 'V2' })],
        [secondEnd('Accept', { ...NOTES, cid: '00offer', locked: '00lock', output: '00out' }, { callsFirst })],
      ],
      views: {
        [TREASURY]: [
          incoming('NOTE-A'),
          ['u0.0 → COMPLETED (+1000)', 'ends 00offer ACCEPTED', 'gains 00out 1000 NOTE-A'],
        ],
        [ALICE]: [outgoing('NOTE-A'), ['u0.0 → COMPLETED (-1000)', 'ends 00offer ACCEPTED', 'loses 00lock']],
      },
    }),
  ),
  ...(['Reject', 'Withdraw'] as const).map((choice): Case => {
    const status = choice === 'Reject' ? 'REJECTED' : 'WITHDRAWN';
    const end = [`u0.0 → ${status} (0)`, `ends 00offer ${status}`];
    return {
      name: `an offer of the second generation, ended by ${choice}`,
      covers: ['6.3 13', '4.4 e'],
      given: [note(ALICE, '00lock', '1000')],
      updates: [
        [offer('00offer', NOTES, { views: 'V2' })],
        [secondEnd(choice, { ...NOTES, cid: '00offer', locked: '00lock', output: '00back' })],
      ],
      views: {
        [TREASURY]: [incoming('NOTE-A'), end],
        [ALICE]: [outgoing('NOTE-A'), [...end, 'gains 00back 1000 NOTE-A', 'loses 00lock']],
      },
    };
  }),
  {
    name: 'an offer between two of our own treasuries: each sees its side, and it nets to nothing',
    covers: ['4.4 d'],
    given: [note(VAULT, '00in', '1000')],
    updates: [
      [noteOffer({ ...NOTES, sender: VAULT, inputs: ['00in'], locked, cid: '00offer' })],
      [noteAccept({ ...NOTES, sender: VAULT, cid: '00offer', locked: '00lock', output: '00out' })],
    ],
    views: {
      [TREASURY]: [
        ['OFFER IN PENDING 1000 NOTE-A (0) from vault "acct-1"', 'opens 00offer IN of u0.0'],
        ['u0.0 → COMPLETED (+1000)', 'ends 00offer ACCEPTED', 'gains 00out 1000 NOTE-A'],
      ],
      [VAULT]: [
        [
          'OFFER OUT PENDING 1000 NOTE-A (0) to treasury "acct-1"',
          'opens 00offer OUT of u0.0',
          'gains 00lock 1000 NOTE-A locked',
          'loses 00in',
        ],
        ['u0.0 → COMPLETED (-1000)', 'ends 00offer ACCEPTED', 'loses 00lock'],
      ],
      [BOB]: [[], []],
    },
  },
];

export const REGISTRY_CASES: readonly Case[] = [...UTILITY, ...UNKNOWN, ...SECOND];
