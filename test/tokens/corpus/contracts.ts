/** The parties, instruments and single events that the corpus is made of. */
import type { Event } from '../../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { Identifier, Value } from '../../../src/gen/com/daml/ledger/api/v2/value.ts';
import {
  HOLDING_V2,
  type StandardInterface,
  TRANSFER_FACTORY_V2,
  TRANSFER_INSTRUCTION_V2,
} from '../../../src/tokens/standard.ts';
import type { Instrument } from '../../../src/tokens/transfer-record.ts';
import {
  ADMIN,
  ALICE,
  COIN,
  contract,
  createHolding,
  createOffer,
  exercise,
  fields,
  instrumentValue,
  list,
  metadata,
  numeric,
  party,
  REASON,
  record,
  some,
  TREASURY,
  text,
  time,
  variant,
} from '../../support/transactions.ts';
import { leaf, type Tree } from './tree.ts';

export { ADMIN, ALICE, COIN, TREASURY };
export const VAULT = 'vault::1220ac';
export const BOB = 'bob::1220bc';
export const MALLORY = 'mallory::1220ff';
export const BRIDGE = 'bridge::1220e1';
export const ISSUER = 'issuer::1220e2';
export const PROVIDER = 'provider::1220cc';

export const USDCX: Instrument = { admin: BRIDGE, id: 'USDCx' };
export const NOTE: Instrument = { admin: ISSUER, id: 'NOTE-A' };
export const FAKE: Instrument = { admin: MALLORY, id: 'Amulet' };

/** Which generation's views a contract carries. */
export type Views = 'V1' | 'V2' | 'BOTH';

export const interfaceIdOf = ({ packageIds, moduleName, entityName }: StandardInterface): Identifier => ({
  packageId: packageIds[0] ?? '',
  moduleName,
  entityName,
});

/** An account of the second generation. The admin's own have no owner: what is minted comes from there. */
export const account = (owner: string, { admin }: Instrument = COIN, { provider, id = '' }: Division = {}): Value =>
  record({
    owner: some(owner === admin ? undefined : party(owner)),
    provider: some(provider === undefined ? undefined : party(provider)),
    id: text(id),
  });

/** What divides an account from its owner's plain one. */
export type Division = { readonly provider?: string; readonly id?: string };

/** A holding, as an output of something. */
export type Output = { readonly cid: string; readonly amount: string };

export type HoldingOptions = {
  readonly instrument?: Instrument;
  readonly views?: Views;
  readonly lockHolders?: readonly string[];
  readonly observers?: readonly string[];
  readonly signatories?: readonly string[];
  readonly packageName?: string;
  readonly division?: Division;
};

export function holding(owner: string, { cid, amount }: Output, options: HoldingOptions = {}): Tree {
  const { instrument = COIN, views = 'V1', lockHolders, observers = [], packageName, division } = options;
  const signatories = options.signatories ?? [instrument.admin, owner];
  return leaf([...signatories, ...observers], (node) => {
    const event = createHolding({
      node,
      cid,
      owner,
      amount,
      instrument,
      signatories: [...signatories],
      ...(lockHolders && { lockHolders: [...lockHolders] }),
      ...(packageName && { packageName }),
      ...(division && { division }),
    });
    const lock = some(lockHolders && record({ holders: list(lockHolders.map(party)) }));
    const view = fields({
      account: account(owner, instrument, division),
      instrumentId: instrumentValue(instrument),
      amount: numeric(amount),
      lock,
      meta: metadata({}),
    });
    return withViews(event, views, HOLDING_V2, view);
  });
}

export type Offered = {
  readonly sender: string;
  readonly receiver: string;
  /** Of the receiver's account, which only the second generation shows. */
  readonly division?: Division;
  readonly amount: string;
  readonly instrument?: Instrument;
  readonly memo?: string;
};

export type OfferOptions = {
  readonly views?: Views;
  readonly original?: string;
  readonly signatories?: readonly string[];
};

export function offer(cid: string, offered: Offered, { views = 'V1', original, signatories }: OfferOptions = {}): Tree {
  const { sender, receiver, instrument = COIN } = offered;
  const signed = signatories ?? [instrument.admin, sender];
  return leaf([...signed, receiver], (node) => {
    const event = createOffer({
      node,
      cid,
      ...offered,
      signatories: [...signed],
      ...(original === undefined ? {} : { original }),
    });
    const view = fields({
      originalInstructionCid: some(original === undefined ? undefined : contract(original)),
      transfer: transferV2(offered),
      expiresAt: some(),
      availableActions: { sum: { $case: 'genMap', value: { entries: [] } } },
      meta: metadata({}),
    });
    return withViews(event, views, TRANSFER_INSTRUCTION_V2, view);
  });
}

export function transferV2({ sender, receiver, division, amount, instrument = COIN, memo }: Offered): Value {
  return record({
    sender: account(sender, instrument),
    receiver: account(receiver, instrument, division),
    amount: numeric(amount),
    instrumentId: instrumentValue(instrument),
    requestedAt: time(1n),
    executeBefore: time(2n),
    inputHoldingCids: list([]),
    meta: metadata(memo === undefined ? {} : { [REASON]: memo }),
  });
}

function withViews(event: Event, views: Views, second: StandardInterface, viewValue: ReturnType<typeof fields>): Event {
  if (event.event?.$case !== 'created' || views === 'V1') return event;
  const { value } = event.event;
  const viewOfSecond = {
    interfaceId: interfaceIdOf(second),
    viewStatus: { code: 0, message: '', details: [] },
    viewValue,
    implementationPackageId: '',
  };
  const interfaceViews = views === 'V2' ? [viewOfSecond] : [viewOfSecond, ...value.interfaceViews];
  return { event: { $case: 'created', value: { ...value, interfaceViews } } };
}

/** A contract that is no holding: a reward coupon, a record of what was done. */
export function other(cid: string, signatories: readonly string[]): Tree {
  return leaf(signatories, (node) => {
    const event = createHolding({ node, cid, amount: '1', signatories: [...signatories] });
    if (event.event?.$case === 'created') event.event.value.interfaceViews = [];
    return event;
  });
}

export type Doing = Omit<Parameters<typeof exercise>[0], 'node' | 'last' | 'acting'> & {
  readonly acting: readonly string[];
  /** Informed besides the actors. */
  readonly informed?: readonly string[];
  readonly interfaceV2?: 'factory' | 'instruction';
  readonly interfaceOf?: StandardInterface;
};

export function doing(
  { informed = [], acting, interfaceV2, interfaceOf, ...options }: Doing,
  children: readonly Tree[],
): Tree {
  const second = { factory: TRANSFER_FACTORY_V2, instruction: TRANSFER_INSTRUCTION_V2 };
  const standard = interfaceOf ?? (interfaceV2 && second[interfaceV2]);
  return {
    informees: [...acting, ...informed],
    fetches: 0,
    children,
    event: (node, last) => {
      const event = exercise({ ...options, acting: [...acting], node, last });
      if (standard && event.event?.$case === 'exercised') event.event.value.interfaceId = interfaceIdOf(standard);
      return event;
    },
  };
}

/** The plain end of a holding. */
export function archive(owner: string, cid: string, admin = ADMIN): Tree {
  return doing({ cid, consuming: true, choice: 'Archive', acting: [admin, owner] }, []);
}

/** The result of the standard's choices. */
export function outcome(
  kind: 'Completed' | 'Failed' | { readonly pending: string },
  meta: Readonly<Record<string, string>> = {},
): Value {
  const output =
    typeof kind === 'string'
      ? variant(`TransferInstructionResult_${kind}`, record({}))
      : variant('TransferInstructionResult_Pending', record({ transferInstructionCid: contract(kind.pending) }));
  return record({ output, senderChangeCids: list([]), meta: metadata(meta) });
}
