/** What all sample transfers share: parties, ids, times, and the values of the token standard. */
import { transferArgument } from '../../src/custody/transfer-argument.ts';
import type { TransferIntent } from '../../src/custody/transfer-intent.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import {
  type Contract,
  contractId,
  id,
  list,
  record,
  text,
  textMap,
  variant,
} from '../../src/signer/kit/prepared-builder.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { META_REASON } from '../../src/tokens/standard.ts';

export const key = (name: string): string => `1220${Buffer.from(name.padEnd(32, '.')).toString('hex')}`;
export const partyOf = (name: string): string => `${name}::${key(name)}`;
export const TREASURY = partyOf('treasury');
export const CUSTOMER = partyOf('customer');
export const STRANGER = partyOf('stranger');
export const DSO = partyOf('DSO');
export const PROVIDER = partyOf('app-provider');
export const REGISTRAR = partyOf('usd-registrar');
export const OPERATOR = partyOf('auth0-operator');
export const BRIDGE = partyOf('Bridge-Operator');
export const SYNCHRONIZER = `global-domain::${key('synchronizer')}`;
export const RECORD_TIME = 1_786_000_000_000_000n;
export const MINUTE = 60_000_000n;

/** An absolute contract id as Canton prints one: discriminator, and for contracts that exist already an authenticating suffix. */
export const cid = (name: string, suffix = ''): string =>
  `00${Buffer.from(name.padEnd(32, '-')).toString('hex')}${suffix}`;
export const old = (name: string): string => cid(name, 'ca1112200318b7f84066');

export const TRANSFER_PACKAGE = '55ba4deb0ad4662c4168b39859738a0e91388d252286480c7331b3f71a517281';
export const transferType = (entity: string) => id(TRANSFER_PACKAGE, 'Splice.Api.Token.TransferInstructionV1', entity);
export const metadataType = (entity: string) =>
  id('4ded6b668cb3b64f7a88a30874cd41c75829f5e064b3fbbadf41ec7e8363354f', 'Splice.Api.Token.MetadataV1', entity);
export const metadata = (values: Readonly<Record<string, string>>): Value =>
  record(metadataType('Metadata'), {
    values: textMap(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, text(value)]))),
  });
export const contextCid = (name: string): Value =>
  variant(metadataType('AnyValue'), 'AV_ContractId', contractId(old(name)));

export const META = new Map([
  [META_REASON, 'customer memo 42'],
  ['sluice/withdrawal', 'wd_0123456789abcdef'],
]);

export const COMMON = {
  sender: TREASURY,
  receiver: CUSTOMER,
  amount: parseAmount('100.5'),
  meta: META,
  requestedAt: RECORD_TIME - MINUTE,
  executeBefore: RECORD_TIME + 60n * MINUTE,
  commandId: 'submission-1-attempt-1-try-1',
  synchronizerId: SYNCHRONIZER,
  physicalSynchronizerId: `${SYNCHRONIZER}::35-5`,
  maxRecordTime: RECORD_TIME + 5n * MINUTE,
} as const;

export const completed = (output: string, change: string | null): Value =>
  result('Completed', { receiverHoldingCids: list(contractId(output)) }, change);
export const pending = (offer: string, change: string | null): Value =>
  result('Pending', { transferInstructionCid: contractId(offer) }, change);

export function result(kind: string, output: Readonly<Record<string, Value>>, change: string | null): Value {
  const name = `TransferInstructionResult_${kind}`;
  return record(transferType('TransferInstructionResult'), {
    output: variant(
      transferType('TransferInstructionResult_Output'),
      name,
      record(transferType(`TransferInstructionResult_Output.${name}`), output),
    ),
    senderChangeCids: change === null ? list() : list(contractId(change)),
    meta: metadata({}),
  });
}

export const factoryChoice = (intent: TransferIntent, on: Contract, value: Value) => ({
  on,
  choice: 'TransferFactory_Transfer',
  acting: [intent.sender],
  argument: transferArgument(intent),
  result: value,
  interfaceId: transferType('TransferFactory'),
});

export const restOf = (intent: TransferIntent): bigint =>
  intent.inputs.reduce((sum, input) => sum + input.amount, 0n) - intent.amount;

export function preparedMetadata(intent: TransferIntent) {
  return {
    submitterInfo: { actAs: [intent.sender], commandId: intent.commandId },
    synchronizerId: intent.physicalSynchronizerId ?? intent.synchronizerId,
    mediatorGroup: 0,
    transactionUuid: '4c6471d3-4e09-49dd-addf-6cd90e19c583',
    preparationTime: RECORD_TIME + 2_000_000n,
    minLedgerEffectiveTime: intent.requestedAt,
    maxLedgerEffectiveTime: intent.executeBefore - 1n,
    maxRecordTime: intent.maxRecordTime,
  };
}
