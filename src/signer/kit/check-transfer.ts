/**
 * Transfers that a signer can be tried with, and that move nothing: they are of a synchronizer, an instrument and contracts that exist on no ledger, which the signature covers. Node for node they have the
 * shape of a transfer of the utility registry through the receiver's preapproval, for the party of whichever key is tried.
 *
 * A signer that takes part in the check signs what `CHECK_SYNCHRONIZER` stands in, and nothing else; one that is in service signs nothing of it.
 */
import { transferArgument, transferType, transferValue } from '../../custody/transfer-argument.ts';
import type { TransferIntent } from '../../custody/transfer-intent.ts';
import type { Micros } from '../../env/clock.ts';
import type { PreparedTransaction } from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Value } from '../../gen/com/daml/ledger/api/v2/value.ts';
import { formatAmount, parseAmount } from '../../tokens/amount.ts';
import { META_REASON } from '../../tokens/standard.ts';
import {
  type Contract,
  contractId,
  createTreeBuilder,
  id,
  list,
  numeric,
  party,
  record,
  text,
  textMap,
  variant,
} from './prepared-builder.ts';

const NOBODY = `1220${'0'.repeat(64)}`;
export const CHECK_SYNCHRONIZER = `sluice-check::${NOBODY}`;
/** Admin of the instruments of the check. */
export const CHECK_ADMIN = `sluice-check-registrar::${NOBODY}`;
/** Of the instrument whose payouts a signer in the check limits to {@link LIMITED_COUNT} per receiver and hour. */
export const LIMITED_INSTRUMENT = 'SLUICE-CHECK-LIMITED';
export const LIMITED_COUNT = 3;
/** The one that it does not limit. */
export const OPEN_INSTRUMENT = 'SLUICE-CHECK';

const OPERATOR = `sluice-check-operator::${NOBODY}`;
const BRIDGE = `sluice-check-provider::${NOBODY}`;
const SECOND = 1_000_000n;
const MINUTE = 60n * SECOND;
const UTILITY_PACKAGE = '7a75ef6e69f69395a4e60919e228528bb8f3881150ccfde3f31bcc73864b18ab';
const METADATA_PACKAGE = '4ded6b668cb3b64f7a88a30874cd41c75829f5e064b3fbbadf41ec7e8363354f';

export const receiverOf = (name: string): string => `sluice-check-${name}::${NOBODY}`;
/** The treasury party of the key: nobody allocated it. */
export const partyOfKey = (fingerprint: string): string => `sluice-check::${fingerprint}`;
/** A contract id as Canton prints one, of a contract that exists already. */
export const contractOf = (name: string): string => `${newContract(name)}ca1112200318b7f84066`;

const newContract = (name: string): string => `00${Buffer.from(name.padEnd(32, '-')).toString('hex')}`;
const utilityType = (module: string, entity: string) => id(UTILITY_PACKAGE, `Utility.Registry.${module}`, entity);
const metadataType = (entity: string) => id(METADATA_PACKAGE, 'Splice.Api.Token.MetadataV1', entity);

/** @param nowMicros of the record time that is told to the signer; its own clock has to be near. */
export function checkIntentOf(
  sender: string,
  nowMicros: Micros,
  inputNames: readonly string[],
  change: Partial<TransferIntent> = {},
): TransferIntent {
  const receiver = change.receiver ?? receiverOf('receiver');
  return {
    kind: 'DIRECT',
    implementation: 'UTILITY_REGISTRY',
    sender,
    receiver,
    instrument: { admin: CHECK_ADMIN, id: OPEN_INSTRUMENT },
    amount: parseAmount('100.5'),
    meta: new Map([[META_REASON, 'signer check']]),
    requestedAt: nowMicros - MINUTE,
    executeBefore: nowMicros + 60n * MINUTE,
    inputs: inputNames.map((name) => ({ contractId: contractOf(name), amount: parseAmount('101') })),
    factory: preapprovalOf(receiver).contractId,
    choiceContext: new Map<string, Value>([
      [
        'utility.digitalasset.com/transfer-rule',
        variant(metadataType('AnyValue'), 'AV_ContractId', contractId(RULE.contractId)),
      ],
    ]),
    commandId: 'sluice-check-1',
    synchronizerId: CHECK_SYNCHRONIZER,
    physicalSynchronizerId: null,
    maxRecordTime: nowMicros + 5n * MINUTE,
    ...change,
  };
}

/** What a participant would prepare for the intent. @param uuid of the transaction: two preparations differ in it at least. */
export function prepareCheck(intent: TransferIntent, uuid: string, preparedAt: Micros): PreparedTransaction {
  const { sender, receiver } = intent;
  const inputs = intent.inputs.map((input) => holding(input.contractId, sender, input.amount, intent.instrument.id));
  const output = holding(newContract('output'), receiver, intent.amount, intent.instrument.id);
  const rest = intent.inputs.reduce((sum, { amount }) => sum + amount, 0n) - intent.amount;
  const change = rest > 0n ? holding(newContract('change'), sender, rest, intent.instrument.id) : null;
  const preapproval = preapprovalOf(receiver);
  const tree = createTreeBuilder([...inputs, preapproval, RULE]);
  const inputIds = intent.inputs.map((input) => input.contractId);
  tree.exercise(
    {
      on: preapproval,
      choice: 'TransferFactory_Transfer',
      acting: [sender],
      argument: transferArgument(intent),
      result: completed(output.contractId, change?.contractId ?? null),
      interfaceId: transferType('TransferFactory'),
    },
    () => {
      tree.exercise(
        {
          on: RULE,
          choice: 'TransferRule_DirectTransfer',
          acting: [sender, receiver],
          argument: record(utilityType('V0.Rule.Transfer', 'TransferRule_DirectTransfer'), {
            transfer: transferValue(intent, inputIds),
          }),
          result: contractId(output.contractId),
        },
        () => {
          for (const input of inputs) {
            tree.fetch(input, [sender, CHECK_ADMIN]);
            tree.archive(input, [sender, CHECK_ADMIN]);
          }
          tree.create(output);
          if (change !== null) tree.create(change);
        },
      );
    },
  );
  return tree.prepared({
    submitterInfo: { actAs: [sender], commandId: intent.commandId },
    synchronizerId: intent.physicalSynchronizerId ?? `${intent.synchronizerId}::35-0`,
    mediatorGroup: 0,
    transactionUuid: uuid,
    preparationTime: preparedAt,
    minLedgerEffectiveTime: intent.requestedAt,
    maxLedgerEffectiveTime: intent.executeBefore - 1n,
    maxRecordTime: intent.maxRecordTime,
  });
}

const RULE: Contract = {
  contractId: contractOf('transfer-rule'),
  packageName: 'utility-registry-v0',
  templateId: utilityType('V0.Rule.Transfer', 'TransferRule'),
  argument: record(utilityType('V0.Rule.Transfer', 'TransferRule'), { registrar: party(CHECK_ADMIN) }),
  signatories: [BRIDGE, CHECK_ADMIN],
  observers: [OPERATOR],
};

/** The receiver signs it alone; it is a transfer factory itself. */
function preapprovalOf(receiver: string): Contract {
  const type = utilityType('App.V0.Model.TransferPreapproval', 'TransferPreapproval');
  return {
    contractId: contractOf('preapproval'),
    packageName: 'utility-registry-app-v0',
    templateId: type,
    argument: record(type, {
      operator: party(OPERATOR),
      receiver: party(receiver),
      instrumentAdmin: party(CHECK_ADMIN),
      instrumentAllowances: list(),
    }),
    signatories: [receiver],
    observers: [OPERATOR, CHECK_ADMIN],
  };
}

function holding(contract: string, owner: string, amount: bigint, instrumentId: string): Contract {
  const type = utilityType('Holding.V0.Holding', 'Holding');
  return {
    contractId: contract,
    packageName: 'utility-registry-holding-v0',
    templateId: type,
    argument: record(type, {
      operator: party(OPERATOR),
      provider: party(BRIDGE),
      registrar: party(CHECK_ADMIN),
      owner: party(owner),
      instrument: record(utilityType('Holding.V0.Types', 'InstrumentIdentifier'), {
        source: party(CHECK_ADMIN),
        id: text(instrumentId),
        scheme: text('RegistrarInternalScheme'),
      }),
      label: text(''),
      amount: numeric(formatAmount(amount)),
    }),
    signatories: [owner, CHECK_ADMIN],
    observers: [BRIDGE, OPERATOR],
  };
}

function completed(output: string, change: string | null): Value {
  const name = 'TransferInstructionResult_Completed';
  return record(transferType('TransferInstructionResult'), {
    output: variant(
      transferType('TransferInstructionResult_Output'),
      name,
      record(transferType(`TransferInstructionResult_Output.${name}`), {
        receiverHoldingCids: list(contractId(output)),
      }),
    ),
    senderChangeCids: change === null ? list() : list(contractId(change)),
    meta: record(metadataType('Metadata'), { values: textMap({}) }),
  });
}
