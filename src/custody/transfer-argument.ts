/**
 * The argument of `TransferFactory_Transfer` that an intent stands for. The command sent for preparation and the comparison before signing use
 * this one function, so they cannot drift apart.
 * @see Canton token standard (CIP-56), Splice.Api.Token.TransferInstructionV1; package ids as in `tokens/standard.ts`.
 */
import type { Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { formatAmount } from '../tokens/amount.ts';
import { HOLDING_V1, TRANSFER_FACTORY_V1 } from '../tokens/standard.ts';
import type { TransferIntent } from './transfer-intent.ts';
import { compareKeys } from './value-difference.ts';

export const TRANSFER_CHOICE = 'TransferFactory_Transfer';

const METADATA_PACKAGE_ID = '4ded6b668cb3b64f7a88a30874cd41c75829f5e064b3fbbadf41ec7e8363354f';
const METADATA_MODULE = 'Splice.Api.Token.MetadataV1';

/** The whole argument: `expectedAdmin`, `transfer`, `extraArgs`. */
export function transferArgument(intent: TransferIntent): Value {
  return record(transferType(TRANSFER_CHOICE), {
    expectedAdmin: party(intent.instrument.admin),
    transfer: transferValue(
      intent,
      intent.inputs.map((input) => input.contractId),
    ),
    extraArgs: extraArgs(intent.choiceContext),
  });
}

/** What every choice of the standard takes: the registry's context as it came, and no metadata of our own. */
export function extraArgs(choiceContext: ReadonlyMap<string, Value>): Value {
  return record(metadataType('ExtraArgs'), {
    context: record(metadataType('ChoiceContext'), { values: textMap(choiceContext) }),
    meta: metadata(new Map()),
  });
}

type TransferTerms = Pick<
  TransferIntent,
  'sender' | 'receiver' | 'amount' | 'instrument' | 'requestedAt' | 'executeBefore' | 'meta'
>;

/** The `Transfer` record alone. @param inputHoldings those of the intent, or what a registry puts in their place on the way, as in an offer. */
export function transferValue(intent: TransferTerms, inputHoldings: readonly string[]): Value {
  const { packageIds, moduleName } = HOLDING_V1;
  const instrumentType = { packageId: packageIds[0] ?? '', moduleName, entityName: 'InstrumentId' };
  return record(transferType('Transfer'), {
    sender: party(intent.sender),
    receiver: party(intent.receiver),
    amount: { sum: { $case: 'numeric', value: formatAmount(intent.amount) } },
    instrumentId: record(instrumentType, { admin: party(intent.instrument.admin), id: text(intent.instrument.id) }),
    requestedAt: time(intent.requestedAt),
    executeBefore: time(intent.executeBefore),
    inputHoldingCids: { sum: { $case: 'list', value: { elements: inputHoldings.map(contractId) } } },
    meta: metadata(intent.meta),
  });
}

const party = (value: string): Value => ({ sum: { $case: 'party', value } });
const text = (value: string): Value => ({ sum: { $case: 'text', value } });
const time = (value: bigint): Value => ({ sum: { $case: 'timestamp', value } });
const contractId = (value: string): Value => ({ sum: { $case: 'contractId', value } });

export function record(recordId: Identifier, fields: Readonly<Record<string, Value>>): Value {
  const labelled = Object.entries(fields).map(([label, value]) => ({ label, value }));
  return { sum: { $case: 'record', value: { recordId, fields: labelled } } };
}

/** Entries in key order, as the ledger keeps them. */
function textMap(values: ReadonlyMap<string, Value>): Value {
  const entries = [...values]
    .toSorted(([left], [right]) => compareKeys(left, right))
    .map(([key, value]) => ({ key, value }));
  return { sum: { $case: 'textMap', value: { entries } } };
}

function metadata(values: ReadonlyMap<string, string>): Value {
  const texts = new Map([...values].map(([key, value]) => [key, text(value)]));
  return record(metadataType('Metadata'), { values: textMap(texts) });
}

function metadataType(entityName: string): Identifier {
  return { packageId: METADATA_PACKAGE_ID, moduleName: METADATA_MODULE, entityName };
}

export function transferType(entityName: string): Identifier {
  const { packageIds, moduleName } = TRANSFER_FACTORY_V1;
  return { packageId: packageIds[0] ?? '', moduleName, entityName };
}
