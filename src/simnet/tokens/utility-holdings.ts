/**
 * Holdings of the registry utility and the rule contract that moves them. Locked holdings name the receiver of an offer as observer, so a
 * receiver sees a holding that is not its own.
 */
import type { Contract } from '../daml/contract.ts';
import { shownDecimal } from '../daml/decimal.ts';
import type { Package, Scope, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdField,
  contractIdOf,
  type DamlRecord,
  decimal,
  decimalField,
  type Identifier,
  identifier,
  list,
  optional,
  optionalField,
  partiesField,
  party,
  partyField,
  record,
  recordField,
  recordOf,
  recordValue,
  text,
  textField,
  type Value,
} from '../daml/value.ts';
import { packageId } from '../ledger/ids.ts';
import { damlFailure, requireThat } from './refusals.ts';
import {
  holdingInterface,
  holdingView,
  type InstrumentId,
  type Transfer,
  transferOf,
  transferRecord,
} from './standard.ts';

export const HOLDING_NAME = 'utility-registry-holding-v0';
const RULE_NAME = 'utility-registry-v0';
export const HOLDING_MODULE = 'Utility.Registry.Holding.V0.Holding';
const RULE_MODULE = 'Utility.Registry.V0.Rule.Transfer';

const holdingPackage = packageId(`${HOLDING_NAME}-0.2.0`);
const rulePackage = packageId(`${RULE_NAME}-0.4.0`);

const holdingType = (entity: string): Identifier => identifier(holdingPackage, HOLDING_MODULE, entity);
const ruleType = (entity: string): Identifier => identifier(rulePackage, RULE_MODULE, entity);

type Lock = { readonly context: string; readonly observers: readonly string[] };

/** Operator of the utility, provider of the registry service, and the registrar, who is the instrument's admin. */
export function infrastructure(
  operator: string,
  admin: string,
): { operator: Value; provider: Value; registrar: Value } {
  return { operator: party(operator), provider: party(operator), registrar: party(admin) };
}

export const adminsOf = (args: DamlRecord): readonly string[] => [
  partyField(args, 'operator'),
  partyField(args, 'registrar'),
];

export function holdingArguments(
  operator: string,
  instrument: InstrumentId,
  owner: string,
  amountUnits: bigint,
  lock?: Lock,
): DamlRecord {
  const lockValue =
    lock &&
    recordValue(
      record(holdingType('Lock'), {
        context: text(lock.context),
        lockers: list([party(instrument.admin)]),
        observers: list(lock.observers.map(party)),
      }),
    );
  const instrumentValue = record(holdingType('InstrumentIdentifier'), {
    source: party(instrument.admin),
    id: text(instrument.id),
    scheme: text('RegistrarInternalScheme'),
  });
  return record(holdingType('Holding'), {
    ...infrastructure(operator, instrument.admin),
    owner: party(owner),
    instrument: recordValue(instrumentValue),
    label: text(''),
    amount: decimal(amountUnits),
    lock: optional(lockValue),
  });
}

function instrumentOf(holding: DamlRecord): InstrumentId {
  const instrument = recordField(holding, 'instrument');
  return { admin: partyField(instrument, 'source'), id: textField(instrument, 'id') };
}

const holdingTemplate: Template = {
  templateId: holdingType('Holding'),
  packageName: HOLDING_NAME,
  signatories: (args) => [...adminsOf(args), partyField(args, 'owner')],
  observers: (args) => {
    const lock = optionalField(args, 'lock');
    return lock === undefined ? [] : partiesField(recordOf(lock), 'observers');
  },
  interfaces: [
    holdingInterface((args) => {
      const lock = optionalField(args, 'lock');
      const instrumentId = instrumentOf(args);
      return holdingView({
        owner: partyField(args, 'owner'),
        instrumentId,
        amountUnits: decimalField(args, 'amount'),
        lock: lock && {
          holders: [instrumentId.admin],
          expiresAtMicros: undefined,
          context: textField(recordOf(lock), 'context'),
        },
        meta: new Map(),
      });
    }),
  ],
  choices: {},
};

/** Archives inputs and creates the receiver's holding and the sender's change. */
export function move(
  scope: Scope,
  transfer: Transfer,
  operator: string,
  output: { readonly owner: string; readonly lock?: Lock },
): { readonly outputCid: string; readonly changeCid: string | undefined } {
  const { instrumentId, sender, amountUnits, inputHoldingCids } = transfer;
  let sumUnits = 0n;
  for (const cid of inputHoldingCids) {
    const { createArguments } = scope.fetch(cid);
    const instrument = instrumentOf(createArguments);
    requireThat(
      instrument.admin === instrumentId.admin && instrument.id === instrumentId.id,
      'an input holding is of the instrument',
    );
    requireThat(partyField(createArguments, 'owner') === sender, 'an input holding is owned by the sender');
    sumUnits += decimalField(createArguments, 'amount');
    scope.archive(cid);
  }
  if (sumUnits < amountUnits) {
    throw damlFailure(
      'splice.lfdecentralizedtrust.org/insufficient-funds',
      'invalidState',
      `Insufficient funds: needed ${shownDecimal(amountUnits)}, available ${shownDecimal(sumUnits)}`,
    );
  }
  const holding = scope.template(HOLDING_NAME, HOLDING_MODULE, 'Holding');
  const outputCid = scope.create(
    holding,
    holdingArguments(operator, instrumentId, output.owner, amountUnits, output.lock),
  );
  const changeUnits = sumUnits - amountUnits;
  const changeCid =
    changeUnits > 0n ? scope.create(holding, holdingArguments(operator, instrumentId, sender, changeUnits)) : undefined;
  return { outputCid, changeCid };
}

export const ruleTemplate: Template = {
  templateId: ruleType('TransferRule'),
  packageName: RULE_NAME,
  signatories: adminsOf,
  observers: () => [],
  interfaces: [],
  choices: Object.fromEntries(
    ['TransferRule_DirectTransfer', 'TransferRule_TwoStepTransfer', 'TransferRule_Transfer'].map((name) => [
      name,
      {
        consuming: false,
        controllers: (_contract: Contract, argument: DamlRecord) => {
          const { sender, receiver } = transferOf(recordField(argument, 'transfer'));
          return [sender, receiver];
        },
        run: (scope: Scope, { createArguments }: Contract, argument: DamlRecord) => {
          const transfer = transferOf(recordField(argument, 'transfer'));
          const moved = move(scope, transfer, partyField(createArguments, 'operator'), { owner: transfer.receiver });
          return recordValue(
            record(ruleType(`${name}_Result`), {
              receiverHoldingCid: contractId(moved.outputCid),
              senderHoldingCid: optional(moved.changeCid === undefined ? undefined : contractId(moved.changeCid)),
            }),
          );
        },
      },
    ]),
  ),
};

export function ruleArgument(choice: string, transfer: Transfer): DamlRecord {
  return record(ruleType(choice), { transfer: transferRecord(transfer) });
}

export function ruleOutcome(result: Value): { readonly outputCid: string; readonly changeCids: readonly string[] } {
  const fields = recordOf(result);
  const change = optionalField(fields, 'senderHoldingCid');
  return {
    outputCid: contractIdField(fields, 'receiverHoldingCid'),
    changeCids: change === undefined ? [] : [contractIdOf(change)],
  };
}

/** Packages that the utility's tokens share. */
export const UTILITY_HOLDING_PACKAGES: readonly Package[] = [
  { packageName: HOLDING_NAME, packageId: holdingPackage, interfaces: [], templates: [holdingTemplate] },
  { packageName: RULE_NAME, packageId: rulePackage, interfaces: [], templates: [ruleTemplate] },
];
