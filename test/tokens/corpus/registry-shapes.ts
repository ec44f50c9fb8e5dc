/** The trees of other registries: the utility registry (USDCx), one that nobody has heard of, one of the second generation alone; and what wraps them all. */
import { BURN_MINT_FACTORY_V1 } from '../../../src/tokens/standard.ts';
import type { Instrument } from '../../../src/tokens/transfer-record.ts';
import { instrumentValue, list, metadata, party, record, transferValue } from '../../support/transactions.ts';
import { type Ended, label, type Made, report, type Sent } from './coin-shapes.ts';
import {
  archive,
  BRIDGE,
  doing,
  holding,
  ISSUER,
  MALLORY,
  type Offered,
  type Output,
  offer,
  other,
  outcome,
  PROVIDER,
  transferV2,
  type Views,
} from './contracts.ts';
import { after, type Tree } from './tree.ts';

const APP = 'utility-registry-app-v0';
const ON_RULE = {
  packageName: 'utility-registry-v0',
  module: 'Utility.Registry.V0.Rule.Transfer',
  entity: 'TransferRule',
} as const;
const ON_ALLOCATION_FACTORY = {
  packageName: APP,
  module: 'Utility.Registry.App.V0.Service.AllocationFactory',
  entity: 'AllocationFactory',
} as const;

/** Inputs archived, output and change made. */
function moved({ sender, receiver, amount, instrument, inputs, output, change }: Sent, views: Views = 'V1'): Tree[] {
  const of = { ...(instrument && { instrument }), views };
  return [
    ...inputs.map((cid) => archive(sender, cid, instrument?.admin)),
    holding(receiver, { cid: output, amount }, of),
    ...(change ? [holding(sender, change, of)] : []),
  ];
}

const rule = (choice: string, sent: Sent): Tree =>
  doing(
    {
      ...ON_RULE,
      choice,
      acting: [sent.sender, sent.receiver],
      informed: [BRIDGE],
      argument: record({ transfer: transferValue(sent) }),
    },
    moved(sent),
  );

function utilityFactory(offered: Offered, result: ReturnType<typeof outcome>, children: readonly Tree[]): Tree {
  return doing(
    {
      ...ON_ALLOCATION_FACTORY,
      on: 'factory',
      choice: 'TransferFactory_Transfer',
      acting: [offered.sender],
      informed: [BRIDGE],
      argument: record({ transfer: transferValue(offered) }),
      result,
    },
    children,
  );
}

/** 4.4(h) direct. `isInterposed`: newer factories put a step of their own between. */
export function utilityDirect(sent: Sent, { isInterposed = false } = {}): Tree {
  const direct = rule('TransferRule_DirectTransfer', sent);
  const below = isInterposed
    ? doing({ ...ON_ALLOCATION_FACTORY, choice: 'AllocationFactory_TransferInternal', acting: [sent.sender] }, [direct])
    : direct;
  return utilityFactory(sent, outcome('Completed'), [below]);
}

/** 4.4(h) offer: the receiver is an observer of the sender's locked holding. */
export function utilityOffer(made: Made): Tree {
  const { sender, receiver, instrument, inputs, locked, change, cid } = made;
  const of = instrument ? { instrument } : {};
  return utilityFactory(made, outcome({ pending: cid }), [
    ...inputs.map((input) => archive(sender, input, instrument?.admin)),
    holding(sender, locked, { ...of, lockHolders: [BRIDGE], observers: [receiver] }),
    ...(change ? [holding(sender, change, of)] : []),
    offer(cid, made),
  ]);
}

/** 4.4(h) accept: the result has no transaction kind. */
export function utilityAccept(
  ended: Omit<Ended, 'unlocked'> & { readonly output: string },
  choice = 'TransferRule_TwoStepTransfer',
): Tree {
  const { sender, receiver, cid, locked, output } = ended;
  return doing(
    {
      packageName: APP,
      cid,
      consuming: true,
      on: 'instruction',
      choice: 'TransferInstruction_Accept',
      acting: [receiver],
      informed: [BRIDGE, sender],
      result: outcome('Completed'),
    },
    [
      after(2, rule(choice, { ...ended, inputs: [locked], output })),
      other(`${cid}-executed`, [BRIDGE, sender, receiver]),
    ],
  );
}

/** An offer of any registry with V1 choices ends without a transfer; `back`: what the sender gets. */
export function plainReturn(
  choice: 'Reject' | 'Withdraw' | 'Update',
  { sender, receiver, instrument, cid, locked }: Omit<Ended, 'unlocked'>,
  back?: Output,
): Tree {
  const admin = instrument?.admin ?? ISSUER;
  return doing(
    {
      cid,
      consuming: true,
      on: 'instruction',
      choice: `TransferInstruction_${choice}`,
      acting: [{ Reject: receiver, Withdraw: sender, Update: admin }[choice]],
      informed: [admin, sender, receiver],
      result: outcome('Failed'),
    },
    back ? [archive(sender, locked, admin), holding(sender, back, instrument ? { instrument } : {})] : [],
  );
}

/** 4.4(h) mint, as a request that the registry accepts. */
export function utilityMint(owner: string, output: Output, instrument: Instrument): Tree {
  return doing(
    {
      packageName: APP,
      cid: `${output.cid}-request`,
      consuming: true,
      choice: 'MintRequest_Accept',
      acting: [BRIDGE],
      informed: [owner],
      result: record({ meta: metadata(label('mint')) }),
    },
    [holding(owner, output, { instrument })],
  );
}

/** 4.4(h) burn, in the step that takes the holding. */
export function utilityBurn(owner: string, input: string): Tree {
  return doing(
    {
      packageName: APP,
      cid: `${input}-request`,
      consuming: true,
      choice: 'BurnRequest_Accept',
      acting: [BRIDGE],
      informed: [owner],
      result: record({ meta: metadata(label('burn')) }),
    },
    [archive(owner, input, BRIDGE)],
  );
}

/** The burn and mint factory: inputs of one owner, outputs of another's choice, no label. */
export function burnMint(
  owner: string,
  inputs: readonly string[],
  outputs: readonly Output[],
  instrument: Instrument,
): Tree {
  return doing(
    {
      choice: 'BurnMintFactory_BurnMint',
      interfaceOf: BURN_MINT_FACTORY_V1,
      acting: [instrument.admin, owner],
      argument: record({
        expectedAdmin: party(instrument.admin),
        instrumentId: instrumentValue(instrument),
        inputHoldingCids: list([]),
      }),
    },
    [
      ...inputs.map((cid) => archive(owner, cid, instrument.admin)),
      ...outputs.map((output) => holding(owner, output, { instrument })),
    ],
  );
}

/** A registry with names of its own: the receiver sees a delivery on its standing consent, labelled as the standard labels. */
export function noteDirect(sent: Sent, { isLabelled = true } = {}): Tree {
  const deliver = doing(
    {
      choice: 'StandingConsent_Deliver',
      acting: [sent.sender],
      informed: [ISSUER, sent.receiver],
      result: isLabelled ? record({ meta: metadata(label('transfer', sent.memo, sent.sender)) }) : record({}),
    },
    moved(sent),
  );
  return doing(
    {
      on: 'factory',
      choice: 'TransferFactory_Transfer',
      acting: [sent.sender],
      informed: [ISSUER],
      argument: record({ transfer: transferValue(sent) }),
      result: outcome('Completed'),
    },
    [after(1, deliver)],
  );
}

/** The same registry's offer; it keeps the funds itself where `locked` is not given. */
export function noteOffer(made: Omit<Made, 'locked'> & { readonly locked?: Output }): Tree {
  const { sender, instrument, inputs, locked, change, cid } = made;
  const of = instrument ? { instrument } : {};
  return doing(
    {
      on: 'factory',
      choice: 'TransferFactory_Transfer',
      acting: [sender],
      informed: [ISSUER],
      argument: record({ transfer: transferValue(made) }),
      result: outcome({ pending: cid }),
    },
    [
      ...inputs.map((input) => archive(sender, input, instrument?.admin)),
      ...(change ? [holding(sender, change, of)] : []),
      ...(locked ? [holding(sender, locked, { ...of, lockHolders: [ISSUER] })] : []),
      offer(cid, made),
    ],
  );
}

export function noteAccept(
  ended: Omit<Ended, 'unlocked' | 'locked'> & { readonly locked?: string; readonly output: string },
): Tree {
  const { sender, receiver, cid, locked, memo } = ended;
  return doing(
    {
      cid,
      consuming: true,
      on: 'instruction',
      choice: 'TransferInstruction_Accept',
      acting: [receiver],
      informed: [ISSUER, sender],
      result: outcome('Completed', label('transfer', memo, sender)),
    },
    moved({ ...ended, inputs: locked === undefined ? [] : [locked] }),
  );
}

/** An offer moves on to another contract: by the admin's step, or by a first acceptance. */
export function replaced(
  choice: 'Accept' | 'Update',
  from: string,
  to: string,
  offered: Offered,
  options: { readonly original?: string; readonly below?: readonly Tree[] } = {},
): Tree {
  const admin = offered.instrument?.admin ?? ISSUER;
  return doing(
    {
      cid: from,
      consuming: true,
      on: 'instruction',
      choice: `TransferInstruction_${choice}`,
      acting: [choice === 'Accept' ? offered.receiver : admin],
      informed: [admin, offered.sender, offered.receiver],
      result: outcome({ pending: to }),
    },
    [...(options.below ?? []), offer(to, offered, { original: options.original ?? from })],
  );
}

/** The second generation's factory, for a token without views of the first. */
export function secondDirect(sent: Sent): Tree {
  const { sender, receiver, amount, inputs, output, change, instrument } = sent;
  return doing(
    {
      interfaceV2: 'factory',
      choice: 'TransferFactory_Transfer',
      acting: [sender, receiver],
      informed: [ISSUER],
      argument: record({ transfer: transferV2(sent), actors: list([party(sender), party(receiver)]) }),
      result: outcome('Completed'),
    },
    [
      ...moved(sent, 'V2'),
      report(
        sender,
        inputs,
        change ? [change.cid] : [],
        [{ side: 'SenderSide', otherside: receiver, amount }],
        instrument,
      ),
      report(receiver, [], [output], [{ side: 'ReceiverSide', otherside: sender, amount }], instrument),
    ],
  );
}

/** The second generation's end of an offer: the choice does not consume, the offer's own code does, below it. */
export function secondEnd(
  choice: 'Accept' | 'Reject' | 'Withdraw',
  ended: Omit<Ended, 'unlocked'> & { readonly output: string },
  { callsFirst = false } = {},
): Tree {
  const { sender, receiver, cid, locked, memo, instrument, amount } = ended;
  const admin = instrument?.admin ?? ISSUER;
  const isAccepted = choice === 'Accept';
  const actor = choice === 'Withdraw' ? sender : receiver;
  const result = isAccepted ? outcome('Completed', label('transfer', memo, sender)) : outcome('Failed');
  const informed = [admin, sender, receiver];
  const below = moved({ ...ended, receiver: isAccepted ? receiver : sender, inputs: [locked] }, 'V2');
  const own = doing({ cid, consuming: true, choice: 'Archive', acting: [admin, sender], informed }, []);
  const first = doing(
    {
      cid,
      consuming: true,
      on: 'instruction',
      choice: `TransferInstruction_${choice}`,
      acting: [actor],
      informed,
      result,
    },
    below,
  );
  return doing(
    { cid, interfaceV2: 'instruction', choice: `TransferInstruction_${choice}`, acting: [actor], informed, result },
    callsFirst
      ? [first]
      : [
          own,
          ...below,
          ...(isAccepted
            ? [report(sender, [locked], [], [{ side: 'SenderSide', otherside: receiver, amount }], instrument)]
            : []),
        ],
  );
}

/** A featured app's proxy around one standard choice: its result carries the other's inside, and no label of its own. */
export function proxied(delegate: string, tree: Tree): Tree {
  return doing(
    {
      packageName: 'splice-util-featured-app-proxies',
      module: 'Splice.Util.FeaturedApp.DelegateProxy',
      entity: 'DelegateProxy',
      choice: 'DelegateProxy_TransferFactory_Transfer',
      acting: [delegate],
      informed: [PROVIDER],
      result: record({
        markerResult: record({}),
        choiceResult: outcome('Completed', label('transfer', 'of-the-proxy')),
      }),
    },
    [tree],
  );
}

/** A batch of whatever, by whoever. */
export function batched(actor: string, trees: readonly Tree[]): Tree {
  return doing(
    { choice: 'WalletAppInstall_ExecuteBatch', acting: [actor], result: record({ outcomes: list([]) }) },
    trees,
  );
}

/** A wrapper that calls itself a transfer. Everything below is done by its actor, as its contract is signed by nobody else. */
export function posing(actor: string, trees: readonly Tree[], memo = 'of-the-wrapper', txKind = 'transfer'): Tree {
  return doing(
    {
      choice: 'Pose',
      acting: [actor],
      informed: [MALLORY],
      result: record({ meta: metadata(label(txKind, memo, actor)) }),
    },
    trees,
  );
}
