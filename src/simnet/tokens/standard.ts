/**
 * The token standard (CIP-56, V1) as data: interface ids, record types and the values built from them. Package ids are those of the
 * published interface packages.
 */
import type { InterfaceImplementation, Package } from '../daml/template.ts';
import {
  contractId,
  contractIdsField,
  type DamlRecord,
  decimal,
  decimalField,
  type Identifier,
  identifier,
  list,
  optional,
  party,
  partyField,
  record,
  recordField,
  recordValue,
  text,
  textField,
  textMap,
  textMapField,
  time,
  timeField,
  unit,
  type Value,
  variant,
} from '../daml/value.ts';

const HOLDING_PACKAGE = '718a0f77e505a8de22f188bd4c87fe74101274e9d4cb1bfac7d09aec7158d35b';
const TRANSFER_PACKAGE = '55ba4deb0ad4662c4168b39859738a0e91388d252286480c7331b3f71a517281';
const METADATA_PACKAGE = '4ded6b668cb3b64f7a88a30874cd41c75829f5e064b3fbbadf41ec7e8363354f';

const HOLDING_MODULE = 'Splice.Api.Token.HoldingV1';
const TRANSFER_MODULE = 'Splice.Api.Token.TransferInstructionV1';
const METADATA_MODULE = 'Splice.Api.Token.MetadataV1';

export const HOLDING: Identifier = identifier(HOLDING_PACKAGE, HOLDING_MODULE, 'Holding');
export const TRANSFER_FACTORY: Identifier = identifier(TRANSFER_PACKAGE, TRANSFER_MODULE, 'TransferFactory');
export const TRANSFER_INSTRUCTION: Identifier = identifier(TRANSFER_PACKAGE, TRANSFER_MODULE, 'TransferInstruction');

export const STANDARD_PACKAGES: readonly Package[] = [
  { packageName: 'splice-api-token-metadata-v1', packageId: METADATA_PACKAGE, interfaces: [], templates: [] },
  {
    packageName: 'splice-api-token-holding-v1',
    packageId: HOLDING_PACKAGE,
    interfaces: [`${HOLDING_MODULE}:Holding`],
    templates: [],
  },
  {
    packageName: 'splice-api-token-transfer-instruction-v1',
    packageId: TRANSFER_PACKAGE,
    interfaces: [`${TRANSFER_MODULE}:TransferFactory`, `${TRANSFER_MODULE}:TransferInstruction`],
    templates: [],
  },
];

export const META = {
  reason: 'splice.lfdecentralizedtrust.org/reason',
  txKind: 'splice.lfdecentralizedtrust.org/tx-kind',
  sender: 'splice.lfdecentralizedtrust.org/sender',
  burned: 'splice.lfdecentralizedtrust.org/burned',
} as const;

export type Metadata = ReadonlyMap<string, string>;

export type InstrumentId = { readonly admin: string; readonly id: string };

export type Transfer = {
  readonly sender: string;
  readonly receiver: string;
  /** Units of 10⁻¹⁰. */
  readonly amountUnits: bigint;
  readonly instrumentId: InstrumentId;
  readonly requestedAtMicros: bigint;
  /** Exclusive. */
  readonly executeBeforeMicros: bigint;
  readonly inputHoldingCids: readonly string[];
  readonly meta: Metadata;
};

const metadataId = identifier(METADATA_PACKAGE, METADATA_MODULE, 'Metadata');
const transferType = (entity: string): Identifier => identifier(TRANSFER_PACKAGE, TRANSFER_MODULE, entity);

export function metadata(values: Metadata): Value {
  const entries = new Map([...values].map(([key, value]) => [key, text(value)] as const));
  return recordValue(record(metadataId, { values: textMap(entries) }));
}

export function metadataOf(source: DamlRecord): Metadata {
  const texts = [...textMapField(source, 'values')];
  return new Map(texts.flatMap(([key, { sum }]) => (sum?.$case === 'text' ? [[key, sum.value] as const] : [])));
}

/** @returns entries whose value is undefined left out. */
export function metaValues(values: Readonly<Record<string, string | undefined>>): Metadata {
  return new Map(
    Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])),
  );
}

const anyValueId = identifier(METADATA_PACKAGE, METADATA_MODULE, 'AnyValue');

export const contextCid = (id: string): Value => variant(anyValueId, 'AV_ContractId', contractId(id));
export const contextBool = (value: boolean): Value => variant(anyValueId, 'AV_Bool', { sum: { $case: 'bool', value } });

export type ChoiceContext = ReadonlyMap<string, Value>;

/** `ExtraArgs {context, meta}` with empty metadata. */
export function extraArgs(context: ChoiceContext): Value {
  const contextId = identifier(METADATA_PACKAGE, METADATA_MODULE, 'ChoiceContext');
  return recordValue(
    record(identifier(METADATA_PACKAGE, METADATA_MODULE, 'ExtraArgs'), {
      context: recordValue(record(contextId, { values: textMap(context) })),
      meta: metadata(new Map()),
    }),
  );
}

/** @returns the values of `extraArgs.context` of a choice argument. */
export function contextOf(argument: DamlRecord): ChoiceContext {
  return textMapField(recordField(recordField(argument, 'extraArgs'), 'context'), 'values');
}

/** @returns the contract id under `key`; undefined when the registry gave none. */
export function contextContractId(context: ChoiceContext, key: string): string | undefined {
  const sum = context.get(key)?.sum;
  const inner =
    sum?.$case === 'variant' && sum.value.constructor === 'AV_ContractId' ? sum.value.value?.sum : undefined;
  return inner?.$case === 'contractId' ? inner.value : undefined;
}

export function instrumentId(instrument: InstrumentId): Value {
  const id = identifier(HOLDING_PACKAGE, HOLDING_MODULE, 'InstrumentId');
  return recordValue(record(id, { admin: party(instrument.admin), id: text(instrument.id) }));
}

export function transferRecord(transfer: Transfer): Value {
  return recordValue(
    record(transferType('Transfer'), {
      sender: party(transfer.sender),
      receiver: party(transfer.receiver),
      amount: decimal(transfer.amountUnits),
      instrumentId: instrumentId(transfer.instrumentId),
      requestedAt: time(transfer.requestedAtMicros),
      executeBefore: time(transfer.executeBeforeMicros),
      inputHoldingCids: list(transfer.inputHoldingCids.map(contractId)),
      meta: metadata(transfer.meta),
    }),
  );
}

export function transferOf(source: DamlRecord): Transfer {
  const instrument = recordField(source, 'instrumentId');
  return {
    sender: partyField(source, 'sender'),
    receiver: partyField(source, 'receiver'),
    amountUnits: decimalField(source, 'amount'),
    instrumentId: { admin: partyField(instrument, 'admin'), id: textField(instrument, 'id') },
    requestedAtMicros: timeField(source, 'requestedAt'),
    executeBeforeMicros: timeField(source, 'executeBefore'),
    inputHoldingCids: contractIdsField(source, 'inputHoldingCids'),
    meta: metadataOf(recordField(source, 'meta')),
  };
}

export type HoldingLock = {
  readonly holders: readonly string[];
  readonly expiresAtMicros: bigint | undefined;
  readonly context: string;
};

export function holdingView(holding: {
  readonly owner: string;
  readonly instrumentId: InstrumentId;
  readonly amountUnits: bigint;
  readonly lock: HoldingLock | undefined;
  readonly meta: Metadata;
}): DamlRecord {
  const type = (entity: string): Identifier => identifier(HOLDING_PACKAGE, HOLDING_MODULE, entity);
  const { lock } = holding;
  const lockValue =
    lock &&
    recordValue(
      record(type('Lock'), {
        holders: list(lock.holders.map(party)),
        expiresAt: optional(lock.expiresAtMicros === undefined ? undefined : time(lock.expiresAtMicros)),
        expiresAfter: optional(undefined),
        context: optional(text(lock.context)),
      }),
    );
  return record(type('HoldingView'), {
    owner: party(holding.owner),
    instrumentId: instrumentId(holding.instrumentId),
    amount: decimal(holding.amountUnits),
    lock: optional(lockValue),
    meta: metadata(holding.meta),
  });
}

/** How far an instruction has come that takes more than one step. */
export type InstructionProgress = {
  /** The first instruction of the transfer; undefined for that one itself. */
  readonly originalCid: string | undefined;
  /** What which party has yet to do; none: the receiver has to accept. */
  readonly pendingActions: ReadonlyMap<string, string>;
};

const NO_PROGRESS: InstructionProgress = { originalCid: undefined, pendingActions: new Map() };

export function instructionView(transfer: Value, progress: InstructionProgress = NO_PROGRESS): DamlRecord {
  const { originalCid, pendingActions } = progress;
  return record(transferType('TransferInstructionView'), {
    originalInstructionCid: optional(originalCid === undefined ? undefined : contractId(originalCid)),
    transfer,
    status: instructionStatus(pendingActions),
    meta: metadata(new Map()),
  });
}

function instructionStatus(pendingActions: ReadonlyMap<string, string>): Value {
  const id = transferType('TransferInstructionStatus');
  if (pendingActions.size === 0) return variant(id, 'TransferPendingReceiverAcceptance', unit());
  const entries = [...pendingActions].map(([actor, action]) => ({ key: party(actor), value: text(action) }));
  const fields = { pendingActions: { sum: { $case: 'genMap', value: { entries } } } } as const;
  const type = transferType('TransferInstructionStatus.TransferPendingInternalWorkflow');
  return variant(id, 'TransferPendingInternalWorkflow', recordValue(record(type, fields)));
}

export function factoryView(admin: string): DamlRecord {
  return record(transferType('TransferFactoryView'), { admin: party(admin), meta: metadata(new Map()) });
}

export const holdingInterface = (view: (args: DamlRecord) => DamlRecord): InterfaceImplementation => ({
  interfaceId: HOLDING,
  view,
});

export const factoryInterface = (view: (args: DamlRecord) => DamlRecord): InterfaceImplementation => ({
  interfaceId: TRANSFER_FACTORY,
  view,
});

export const instructionInterface = (view: (args: DamlRecord) => DamlRecord): InterfaceImplementation => ({
  interfaceId: TRANSFER_INSTRUCTION,
  view,
});

export type TransferOutput =
  | { readonly kind: 'pending'; readonly instructionCid: string }
  | { readonly kind: 'completed'; readonly receiverHoldingCids: readonly string[] }
  | { readonly kind: 'failed' };

/** `TransferInstructionResult`, which the factory and every choice of an instruction return. */
export function transferResult(output: TransferOutput, senderChangeCids: readonly string[], meta: Metadata): Value {
  return recordValue(
    record(transferType('TransferInstructionResult'), {
      output: outputVariant(output),
      senderChangeCids: list(senderChangeCids.map(contractId)),
      meta: metadata(meta),
    }),
  );
}

function outputVariant(output: TransferOutput): Value {
  const id = transferType('TransferInstructionResult_Output');
  switch (output.kind) {
    case 'pending': {
      const fields = { transferInstructionCid: contractId(output.instructionCid) };
      const type = transferType('TransferInstructionResult_Output.TransferInstructionResult_Pending');
      return variant(id, 'TransferInstructionResult_Pending', recordValue(record(type, fields)));
    }
    case 'completed': {
      const fields = { receiverHoldingCids: list(output.receiverHoldingCids.map(contractId)) };
      const type = transferType('TransferInstructionResult_Output.TransferInstructionResult_Completed');
      return variant(id, 'TransferInstructionResult_Completed', recordValue(record(type, fields)));
    }
    case 'failed':
      return variant(id, 'TransferInstructionResult_Failed', unit());
  }
}

/** Argument of `TransferFactory_Transfer`. */
export function factoryTransferArgument(admin: string, transfer: Transfer, context: ChoiceContext): DamlRecord {
  return record(transferType('TransferFactory_Transfer'), {
    expectedAdmin: party(admin),
    transfer: transferRecord(transfer),
    extraArgs: extraArgs(context),
  });
}

export type InstructionChoice = 'Accept' | 'Reject' | 'Withdraw' | 'Update';

/** Argument of `TransferInstruction_…`; an Update has no extra actors. */
export function instructionArgument(choice: InstructionChoice, context: ChoiceContext): DamlRecord {
  const fields =
    choice === 'Update' ? { extraActors: list([]), extraArgs: extraArgs(context) } : { extraArgs: extraArgs(context) };
  return record(transferType(`TransferInstruction_${choice}`), fields);
}
