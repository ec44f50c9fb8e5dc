/**
 * The trees of Canton Coin, both package generations: the older repeats a transfer inside itself through the rules contract, the newer works right below the
 * choice at hand and reports to the event log.
 */
import type { Value } from '../../../src/gen/com/daml/ledger/api/v2/value.ts';
import { EVENT_LOG_V2 } from '../../../src/tokens/standard.ts';
import {
  contract,
  list,
  metadata,
  numeric,
  party,
  REASON,
  record,
  some,
  TX_KIND,
  text,
  transferValue,
} from '../../support/transactions.ts';
import {
  ADMIN,
  account,
  archive,
  COIN,
  doing,
  holding,
  type Offered,
  type Output,
  offer,
  other,
  outcome,
  type Views,
} from './contracts.ts';
import { after, type Tree } from './tree.ts';

const SENDER = 'splice.lfdecentralizedtrust.org/sender';
const AMULET = 'splice-amulet';
const ON_RULES = { packageName: AMULET, module: 'Splice.AmuletRules', entity: 'AmuletRules' } as const;
const ON_PREAPPROVAL = { packageName: AMULET, module: 'Splice.AmuletRules', entity: 'TransferPreapproval' } as const;
const ON_FACTORY = {
  packageName: AMULET,
  module: 'Splice.ExternalPartyAmuletRules',
  entity: 'ExternalPartyAmuletRules',
} as const;
const ON_LOCKED = { packageName: AMULET, module: 'Splice.Amulet', entity: 'LockedAmulet' } as const;
const ON_AMULET = { packageName: AMULET, module: 'Splice.Amulet', entity: 'Amulet' } as const;
const ON_OFFER = {
  packageName: AMULET,
  module: 'Splice.AmuletTransferInstruction',
  entity: 'AmuletTransferInstruction',
} as const;

export type Generation = 'old' | 'new';

export const label = (txKind: string, memo?: string, sender?: string): Record<string, string> => ({
  [TX_KIND]: txKind,
  ...(memo === undefined ? {} : { [REASON]: memo }),
  ...(sender === undefined ? {} : { [SENDER]: sender }),
});
const labelled = (txKind: string, memo?: string, sender?: string): Value =>
  record({ meta: metadata(label(txKind, memo, sender)) });

/** One account's report of a change. @param gained by the legs, with its other side; several make several legs. */
export function report(
  owner: string,
  inputs: readonly string[],
  outputs: readonly string[],
  legs: readonly {
    readonly side: 'SenderSide' | 'ReceiverSide';
    readonly otherside: string;
    readonly amount: string;
  }[],
  { admin, id } = COIN,
): Tree {
  return doing(
    {
      choice: 'EventLog_HoldingsChange',
      interfaceOf: EVENT_LOG_V2,
      acting: [admin],
      informed: [owner],
      argument: record({
        admin: party(admin),
        account: account(owner),
        inputHoldingCids: list(inputs.map(contract)),
        transferLegSides: list(
          legs.map(({ side, otherside, amount }) =>
            record({
              transferLegId: text('leg0'),
              side: { sum: { $case: 'enum', value: { enumId: undefined, constructor: side } } },
              otherside: account(otherside),
              amount: numeric(amount),
              instrumentId: text(id),
              meta: metadata({}),
            }),
          ),
        ),
        outputHoldingCids: list(outputs.map(contract)),
      }),
    },
    [],
  );
}

export type Sent = Offered & {
  readonly inputs: readonly string[];
  readonly output: string;
  readonly change?: Output;
  readonly views?: Views;
};

/** Inputs archived, output and change made; with reports where the package is the newer one. */
function moved(generation: Generation, sent: Sent, owner = sent.receiver): Tree[] {
  const { sender, receiver, amount, inputs, output, change, views = generation === 'old' ? 'V1' : 'BOTH' } = sent;
  const parts = [
    ...inputs.map((cid) => after(1, archive(sender, cid))),
    ...(generation === 'old' ? [other(`${output}-coupon`, [ADMIN])] : []),
    holding(owner, { cid: output, amount }, { views, packageName: AMULET }),
    ...(change ? [holding(sender, change, { views, packageName: AMULET })] : []),
  ];
  if (generation === 'old') return parts;
  const changes = change ? [change.cid] : [];
  const leg = { amount, otherside: receiver } as const;
  if (sender === receiver) {
    const both = [
      { ...leg, side: 'SenderSide' },
      { ...leg, side: 'ReceiverSide' },
    ] as const;
    return [...parts, report(sender, inputs, [output, ...changes], both)];
  }
  return [
    ...parts,
    report(sender, inputs, changes, [{ ...leg, side: 'SenderSide' }]),
    report(receiver, [], [output], [{ side: 'ReceiverSide', amount, otherside: sender }]),
  ];
}

function byRules(sent: Sent, txKind = 'transfer'): Tree {
  return after(
    1,
    doing(
      {
        ...ON_RULES,
        choice: 'AmuletRules_Transfer',
        acting: [sent.sender],
        informed: [ADMIN],
        result: labelled(txKind),
      },
      moved('old', sent),
    ),
  );
}

/** 4.4(a) and (b): a send through the receiver's preapproval. */
export function coinDirect(generation: Generation, sent: Sent): Tree {
  const { sender, receiver, memo } = sent;
  const meta = metadata(label('transfer', memo, sender));
  const send = doing(
    {
      ...ON_PREAPPROVAL,
      choice: generation === 'old' ? 'TransferPreapproval_Send' : 'TransferPreapproval_SendV2',
      acting: [sender],
      informed: [ADMIN, receiver],
      argument: record({ sender: party(sender), amount: numeric(sent.amount) }),
      result: record({ result: record({}), meta: generation === 'old' ? some(meta) : meta }),
    },
    generation === 'old' ? [byRules(sent)] : moved('new', sent),
  );
  return factory(sent, outcome('Completed'), [after(3, send)]);
}

function factory(offered: Offered, result: Value, children: readonly Tree[]): Tree {
  return doing(
    {
      ...ON_FACTORY,
      on: 'factory',
      choice: 'TransferFactory_Transfer',
      acting: [offered.sender],
      informed: [ADMIN],
      argument: record({ expectedAdmin: party(ADMIN), transfer: transferValue(offered) }),
      result,
    },
    children,
  );
}

export type Made = Offered & {
  readonly inputs: readonly string[];
  readonly locked: Output;
  readonly change?: Output;
  readonly cid: string;
};

/** 4.4(c): the amount (and with the older package the fee of its acceptance) goes into a locked holding of the sender. */
export function coinOffer(generation: Generation, made: Made): Tree {
  const { sender, inputs, locked, change, cid } = made;
  const views: Views = generation === 'old' ? 'V1' : 'BOTH';
  const parts = [
    ...inputs.map((input) => after(1, archive(sender, input))),
    holding(sender, locked, { views, lockHolders: [ADMIN], packageName: AMULET }),
    ...(change ? [holding(sender, change, { views, packageName: AMULET })] : []),
  ];
  const leg = { amount: locked.amount, otherside: sender } as const;
  const logged = report(
    sender,
    inputs,
    [locked.cid, ...(change ? [change.cid] : [])],
    [
      { ...leg, side: 'SenderSide' },
      { ...leg, side: 'ReceiverSide' },
    ],
  );
  const below =
    generation === 'old'
      ? [doing({ ...ON_RULES, choice: 'AmuletRules_Transfer', acting: [sender], informed: [ADMIN] }, parts)]
      : [...parts, logged];
  return factory(made, outcome({ pending: cid }), [...below, offer(cid, made, { views })]);
}

export type Ended = Offered & { readonly cid: string; readonly locked: string; readonly unlocked: string };

/** The locked holding of an offer becomes a plain one of the sender. */
function unlock(generation: Generation, { sender, locked, unlocked }: Ended, amount: string): Tree {
  const views: Views = generation === 'old' ? 'V1' : 'BOTH';
  const output = holding(sender, { cid: unlocked, amount }, { views, packageName: AMULET });
  return doing(
    {
      ...ON_LOCKED,
      cid: locked,
      consuming: true,
      choice: generation === 'old' ? 'LockedAmulet_Unlock' : 'LockedAmulet_UnlockV2',
      acting: [ADMIN, sender],
      result: labelled('unlock'),
    },
    generation === 'old' ? [output] : [output, report(sender, [locked], [unlocked], [])],
  );
}

/** 4.4(d): the newer result is labelled, the older only says what it burned. */
export function coinAccept(
  generation: Generation,
  ended: Ended & { readonly output: string; readonly lockedAmount?: string },
): Tree {
  const { sender, receiver, cid, unlocked, output, amount, memo, lockedAmount = amount } = ended;
  const sent: Sent = { ...ended, inputs: [unlocked], output };
  const below = [
    after(1, unlock(generation, ended, lockedAmount)),
    ...(generation === 'old' ? [byRules(sent)] : [...moved('new', sent)]),
  ];
  return doing(
    {
      ...ON_OFFER,
      cid,
      consuming: true,
      on: 'instruction',
      choice: 'TransferInstruction_Accept',
      acting: [receiver],
      informed: [ADMIN, sender],
      result: outcome('Completed', generation === 'old' ? {} : label('transfer', memo, sender)),
    },
    below,
  );
}

/** 4.4(e): rejected, withdrawn, or expired by the admin. `isGone`: the lock was released before, nothing comes back. */
export function coinReturn(
  generation: Generation,
  choice: 'Reject' | 'Withdraw' | 'Update',
  ended: Ended,
  { isGone = false, lockedAmount = ended.amount } = {},
): Tree {
  const actor = { Reject: ended.receiver, Withdraw: ended.sender, Update: ADMIN }[choice];
  return doing(
    {
      ...ON_OFFER,
      cid: ended.cid,
      consuming: true,
      on: 'instruction',
      choice: `TransferInstruction_${choice}`,
      acting: [actor],
      informed: [ADMIN, ended.sender, ended.receiver],
      result: outcome('Failed'),
    },
    isGone ? [] : [unlock(generation, ended, lockedAmount)],
  );
}

/** 4.4(f): a transfer to oneself. `expired`: a locked input whose lock the owner releases on the way. */
export function coinMerge(
  generation: Generation,
  sent: Sent,
  expired?: { readonly locked: string; readonly unlocked: string; readonly amount: string },
): Tree {
  const release =
    expired &&
    doing(
      {
        ...ON_LOCKED,
        cid: expired.locked,
        consuming: true,
        choice: 'LockedAmulet_OwnerExpireLockV2',
        acting: [sent.sender],
        informed: [ADMIN],
        result: labelled('unlock', 'owner released expired lock'),
      },
      [holding(sent.sender, { cid: expired.unlocked, amount: expired.amount }, { packageName: AMULET })],
    );
  const below = generation === 'old' ? [byRules(sent, 'merge-split')] : moved('new', sent);
  return factory(sent, outcome('Completed', label('merge-split')), [...(release ? [release] : []), ...below]);
}

/** 4.4(g): a tap of the development network. */
export function coinTap(owner: string, output: Output): Tree {
  return doing(
    { ...ON_RULES, choice: 'AmuletRules_DevNet_Tap', acting: [owner], informed: [ADMIN], result: labelled('mint') },
    [holding(owner, output, { packageName: AMULET })],
  );
}

/** 4.4(g): what burns coin, such as a purchase of traffic. */
export function coinBurn(owner: string, input: string, change?: Output): Tree {
  return doing(
    {
      ...ON_RULES,
      choice: 'AmuletRules_BuyMemberTraffic',
      acting: [owner],
      informed: [ADMIN],
      result: labelled('burn'),
    },
    [archive(owner, input), ...(change ? [holding(owner, change, { packageName: AMULET })] : [])],
  );
}

/** The DSO takes a holding that its own fee has eaten; the exercise itself is what consumes it. */
export function coinDust(owner: string, cid: string): Tree {
  return doing(
    {
      ...ON_AMULET,
      cid,
      consuming: true,
      choice: 'Amulet_ExpireV2',
      acting: [ADMIN],
      informed: [owner],
      result: labelled('expire-dust'),
    },
    [],
  );
}
