/** Hand-made transactions for tests of the parser: hostile and odd trees that no honest simulation produces. */
import type { Event } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import type { Record as DamlRecord, Identifier, Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import {
  HOLDING_V1,
  type StandardInterface,
  TRANSFER_FACTORY_V1,
  TRANSFER_INSTRUCTION_V1,
} from '../../src/tokens/standard.ts';
import type { Instrument } from '../../src/tokens/transfer-record.ts';
import { effectsOf, type Known, type UpdateEffects } from '../../src/tokens/update-effects.ts';

export const TREASURY = 'treasury::1220aa';
export const ALICE = 'alice::1220bb';
export const ADMIN = 'DSO::1220dd';
export const COIN: Instrument = { admin: ADMIN, id: 'Amulet' };
export const REASON = 'splice.lfdecentralizedtrust.org/reason';
export const TX_KIND = 'splice.lfdecentralizedtrust.org/tx-kind';

export const text = (value: string): Value => ({ sum: { $case: 'text', value } });
export const party = (value: string): Value => ({ sum: { $case: 'party', value } });
export const contract = (value: string): Value => ({ sum: { $case: 'contractId', value } });
export const numeric = (value: string): Value => ({ sum: { $case: 'numeric', value } });
export const time = (value: bigint): Value => ({ sum: { $case: 'timestamp', value } });
export const some = (value?: Value): Value => ({ sum: { $case: 'optional', value: { value } } });
export const list = (elements: Value[]): Value => ({ sum: { $case: 'list', value: { elements } } });
export const variant = (name: string, value: Value): Value => ({
  sum: { $case: 'variant', value: { variantId: undefined, constructor: name, value } },
});
export const fields = (entries: Record<string, Value>): DamlRecord => ({
  recordId: undefined,
  fields: Object.entries(entries).map(([label, value]) => ({ label, value })),
});
export const record = (entries: Record<string, Value>): Value => ({ sum: { $case: 'record', value: fields(entries) } });
export const metadata = (values: Record<string, string>): Value =>
  record({
    values: {
      sum: {
        $case: 'textMap',
        value: { entries: Object.entries(values).map(([key, value]) => ({ key, value: text(value) })) },
      },
    },
  });

const interfaceId = ({ packageIds, moduleName, entityName }: StandardInterface): Identifier => ({
  packageId: packageIds[0] ?? '',
  moduleName,
  entityName,
});

export function instrumentValue({ admin, id }: Instrument): Value {
  return record({ admin: party(admin), id: text(id) });
}

export function transferValue(options: {
  sender?: string;
  receiver?: string;
  amount: string;
  instrument?: Instrument;
  memo?: string;
  meta?: Record<string, string>;
}): Value {
  return record({
    sender: party(options.sender ?? ALICE),
    receiver: party(options.receiver ?? TREASURY),
    amount: numeric(options.amount),
    instrumentId: instrumentValue(options.instrument ?? COIN),
    requestedAt: time(1n),
    executeBefore: time(2n),
    inputHoldingCids: list([]),
    meta: metadata({ ...options.meta, ...(options.memo !== undefined && { [REASON]: options.memo }) }),
  });
}

type CreateOptions = { node: number; cid: string; signatories?: string[]; packageName?: string };

export function createHolding(
  options: CreateOptions & {
    owner?: string;
    amount: string;
    instrument?: Instrument;
    view?: Partial<StandardInterface>;
    status?: number;
    lockHolders?: string[];
    /** The part of the owner's account that it lies in, as the V1 view of a V2 holding tells it. */
    division?: { provider?: string; id?: string };
  },
): Event {
  const instrument = options.instrument ?? COIN;
  const owner = options.owner ?? TREASURY;
  const identifier = {
    ...interfaceId(HOLDING_V1),
    ...(options.view?.packageIds && { packageId: options.view.packageIds[0] ?? '' }),
  };
  const view = fields({
    owner: party(owner),
    instrumentId: instrumentValue(instrument),
    amount: numeric(options.amount),
    lock: some(options.lockHolders && record({ holders: list(options.lockHolders.map(party)) })),
    meta: metadata({
      ...(options.division?.provider && { 'cip-112/account.provider': options.division.provider }),
      ...(options.division?.id && { 'cip-112/account.id': options.division.id }),
    }),
  });
  return created(
    { ...options, signatories: options.signatories ?? [instrument.admin, owner] },
    identifier,
    view,
    options.status ?? 0,
  );
}

export function createOffer(
  options: CreateOptions & {
    sender?: string;
    receiver?: string;
    amount: string;
    memo?: string;
    meta?: Record<string, string>;
    original?: string;
    instrument?: Instrument;
  },
): Event {
  const view = fields({
    originalInstructionCid: some(options.original === undefined ? undefined : contract(options.original)),
    transfer: transferValue(options),
    status: variant('TransferPendingReceiverAcceptance', record({})),
    meta: metadata({}),
  });
  const signatories = options.signatories ?? [(options.instrument ?? COIN).admin, options.sender ?? ALICE];
  return created({ ...options, signatories }, interfaceId(TRANSFER_INSTRUCTION_V1), view, 0);
}

function created(options: CreateOptions, identifier: Identifier, viewValue: DamlRecord, status: number): Event {
  return {
    event: {
      $case: 'created',
      value: {
        offset: 1n,
        nodeId: options.node,
        contractId: options.cid,
        templateId: { packageId: 'p', moduleName: 'Any.Module', entityName: 'Token' },
        packageName: options.packageName ?? 'any-package',
        signatories: options.signatories ?? [],
        interfaceViews: [
          {
            interfaceId: identifier,
            viewStatus: { code: status, message: status === 0 ? '' : 'the view failed', details: [] },
            viewValue: status === 0 ? viewValue : undefined,
            implementationPackageId: '',
          },
        ],
        contractKey: undefined,
        contractKeyHash: new Uint8Array(),
        createArguments: undefined,
        createdEventBlob: new Uint8Array(),
        witnessParties: [],
        observers: [],
        createdAt: undefined,
        acsDelta: false,
        representativePackageId: '',
      },
    },
  };
}

export function exercise(options: {
  node: number;
  last?: number;
  cid?: string;
  choice?: string;
  consuming?: boolean;
  acting?: string[];
  packageName?: string;
  module?: string;
  entity?: string;
  on?: 'factory' | 'instruction';
  argument?: Value;
  result?: Value;
}): Event {
  const on = { factory: TRANSFER_FACTORY_V1, instruction: TRANSFER_INSTRUCTION_V1 };
  return {
    event: {
      $case: 'exercised',
      value: {
        offset: 1n,
        nodeId: options.node,
        lastDescendantNodeId: options.last ?? options.node,
        contractId: options.cid ?? `00${options.node}`,
        templateId: { packageId: 'p', moduleName: options.module ?? 'Any.Module', entityName: options.entity ?? 'Any' },
        interfaceId: options.on && interfaceId(on[options.on]),
        choice: options.choice ?? 'Archive',
        choiceArgument: options.argument ?? record({}),
        actingParties: options.acting ?? [ALICE],
        consuming: options.consuming ?? false,
        witnessParties: [TREASURY],
        exerciseResult: options.result ?? record({}),
        packageName: options.packageName ?? 'any-package',
        implementedInterfaces: [],
        acsDelta: false,
      },
    },
  };
}

/** A result with a transaction kind, as the standard labels results. */
export function labelledResult(txKind: string, memo?: string): Value {
  return record({ meta: metadata({ [TX_KIND]: txKind, ...(memo === undefined ? {} : { [REASON]: memo }) }) });
}

/** The send through a preapproval, as the receiver sees it. */
export function preapprovalSend(options: { node: number; last: number; memo?: string; sender?: string }): Event {
  return exercise({
    node: options.node,
    last: options.last,
    choice: 'TransferPreapproval_SendV2',
    packageName: 'splice-amulet',
    module: 'Splice.AmuletRules',
    entity: 'TransferPreapproval',
    argument: record({ sender: party(options.sender ?? ALICE) }),
    result: labelledResult('transfer', options.memo),
  });
}

/** What is known of earlier updates: holdings by contract id and amount of coin, offers by contract id and transfer id. */
export function knowing(holdings: Record<string, string> = {}, offers: Record<string, string> = {}): Known {
  return {
    holding: (cid) =>
      holdings[cid] === undefined ? undefined : { instrument: COIN, amount: parseAmount(holdings[cid]) },
    instruction: (cid) => (offers[cid] === undefined ? undefined : { transferId: offers[cid], instrument: COIN }),
  };
}

export function effects(events: Event[], known: Known = knowing(), of = TREASURY): UpdateEffects {
  return effectsOf(Transaction.fromPartial({ updateId: '1220ee', events }), of, known);
}
