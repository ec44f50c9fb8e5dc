/**
 * A token of the registry utility (as USDCx and CBTC use it): a template family of its own, and results without metadata, so a reader has
 * only the arguments of choices to go by. Template and choice names and the order of nodes follow captured transactions.
 */
import type { Contract } from '../daml/contract.ts';
import type { Package, Scope, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdOf,
  type DamlRecord,
  decimal,
  decimalField,
  type Identifier,
  identifier,
  party,
  partyField,
  record,
  recordField,
  recordValue,
  text,
  textField,
  type Value,
} from '../daml/value.ts';
import { packageId } from '../ledger/ids.ts';
import { requireThat } from './refusals.ts';
import {
  contextCid,
  contextContractId,
  contextOf,
  factoryInterface,
  factoryView,
  type InstructionChoice,
  type InstrumentId,
  instructionInterface,
  instructionView,
  META,
  metadata,
  metaValues,
  TRANSFER_FACTORY,
  TRANSFER_INSTRUCTION,
  type Transfer,
  transferOf,
  transferRecord,
  transferResult,
} from './standard.ts';
import type { Token, TokenLedger } from './token.ts';
import {
  adminsOf,
  HOLDING_MODULE,
  HOLDING_NAME,
  holdingArguments,
  infrastructure,
  move,
  ruleArgument,
  ruleOutcome,
  ruleTemplate,
  UTILITY_HOLDING_PACKAGES,
} from './utility-holdings.ts';

const APP_NAME = 'utility-registry-app-v0';
const TRANSFER_MODULE = 'Utility.Registry.App.V0.Model.Transfer';
const SERVICE_MODULE = 'Utility.Registry.App.V0.Service.AllocationFactory';
const PREAPPROVAL_MODULE = 'Utility.Registry.App.V0.Model.TransferPreapproval';
const MINT_MODULE = 'Utility.Registry.App.V0.Model.Mint';

const appPackage = packageId(`${APP_NAME}-0.5.0`);
const appType = (module: string, entity: string): Identifier => identifier(appPackage, module, entity);

export type UtilityRegistryOptions = {
  readonly name: string;
  readonly instrumentId: InstrumentId;
  readonly operator: string;
};

/** Says yes beforehand: a factory of its own, which gives the receiver's authority to a direct transfer. */
const preapprovalTemplate: Template = {
  templateId: appType(PREAPPROVAL_MODULE, 'TransferPreapproval'),
  packageName: APP_NAME,
  signatories: (args) => [...adminsOf(args), partyField(args, 'receiver')],
  observers: () => [],
  interfaces: [factoryInterface((args) => factoryView(partyField(args, 'registrar')))],
  choices: {
    TransferFactory_Transfer: {
      interfaceId: TRANSFER_FACTORY,
      consuming: false,
      controllers: (_contract, argument) => [partyField(recordField(argument, 'transfer'), 'sender')],
      run: (scope, _contract, argument) => directTransfer(scope, argument),
    },
  },
};

const factoryTemplate: Template = {
  templateId: appType(SERVICE_MODULE, 'AllocationFactory'),
  packageName: APP_NAME,
  signatories: adminsOf,
  observers: () => [],
  interfaces: [factoryInterface((args) => factoryView(partyField(args, 'registrar')))],
  choices: {
    TransferFactory_Transfer: {
      interfaceId: TRANSFER_FACTORY,
      consuming: false,
      controllers: (_contract, argument) => [partyField(recordField(argument, 'transfer'), 'sender')],
      run: startTransfer,
    },
  },
};

function directTransfer(scope: Scope, argument: DamlRecord): Value {
  const rule = contextContractId(contextOf(argument), 'utility.digitalasset.com/transfer-rule') ?? '';
  const transfer = transferOf(recordField(argument, 'transfer'));
  const choice = 'TransferRule_DirectTransfer';
  const { outputCid, changeCids } = ruleOutcome(scope.exercise(rule, choice, ruleArgument(choice, transfer)));
  return transferResult({ kind: 'completed', receiverHoldingCids: [outputCid] }, changeCids, new Map());
}

function startTransfer(scope: Scope, { createArguments }: Contract, argument: DamlRecord): Value {
  const transfer = transferOf(recordField(argument, 'transfer'));
  const operator = partyField(createArguments, 'operator');
  const admin = partyField(createArguments, 'registrar');
  requireThat(
    partyField(argument, 'expectedAdmin') === admin && transfer.instrumentId.admin === admin,
    'the admin is the registrar',
  );
  requireThat(transfer.amountUnits > 0n, 'the amount is positive');
  requireThat(transfer.inputHoldingCids.length > 0, 'at least one input holding is provided');
  scope.requireAtOrAfter(transfer.requestedAtMicros, 'transfer.requestedAt');
  scope.requireBefore(transfer.executeBeforeMicros, 'transfer.executeBefore');
  const preapproval = contextContractId(contextOf(argument), 'utility.digitalasset.com/transfer-preapproval');
  if (transfer.sender === transfer.receiver) return directTransfer(scope, argument);
  if (preapproval !== undefined) return scope.exercise(preapproval, 'TransferFactory_Transfer', argument);
  const { sender, receiver } = transfer;
  const lock = { context: `transfer to ${receiver}`, observers: [receiver] };
  const { outputCid, changeCid } = move(scope, transfer, operator, { owner: sender, lock });
  const instructionCid = scope.create(
    scope.template(APP_NAME, TRANSFER_MODULE, 'TransferOffer'),
    record(appType(TRANSFER_MODULE, 'TransferOffer'), {
      ...infrastructure(operator, admin),
      transfer: transferRecord({ ...transfer, inputHoldingCids: [outputCid] }),
    }),
  );
  return transferResult({ kind: 'pending', instructionCid }, changeCid === undefined ? [] : [changeCid], new Map());
}

const offerTransfer = ({ createArguments }: Contract): Transfer => transferOf(recordField(createArguments, 'transfer'));

const offerTemplate: Template = {
  templateId: appType(TRANSFER_MODULE, 'TransferOffer'),
  packageName: APP_NAME,
  signatories: (args) => [...adminsOf(args), partyField(recordField(args, 'transfer'), 'sender')],
  observers: (args) => [partyField(recordField(args, 'transfer'), 'receiver')],
  interfaces: [instructionInterface((args) => instructionView(recordValue(recordField(args, 'transfer'))))],
  choices: {
    TransferInstruction_Accept: {
      interfaceId: TRANSFER_INSTRUCTION,
      consuming: true,
      controllers: (contract) => [offerTransfer(contract).receiver],
      run: acceptOffer,
    },
    ...endOffer('Reject', ({ receiver }) => receiver),
    ...endOffer('Withdraw', ({ sender }) => sender),
    ...endOffer('Update', ({ instrumentId }) => instrumentId.admin),
  },
};

function acceptOffer(scope: Scope, contract: Contract, argument: DamlRecord): Value {
  const transfer = offerTransfer(contract);
  scope.requireBefore(transfer.executeBeforeMicros, 'transfer.executeBefore');
  const context = contextOf(argument);
  const rule = contextContractId(context, 'utility.digitalasset.com/transfer-rule') ?? '';
  scope.fetch(rule);
  const choice = context.has('utility.digitalasset.com/two-step')
    ? 'TransferRule_TwoStepTransfer'
    : 'TransferRule_Transfer';
  const { outputCid, changeCids } = ruleOutcome(scope.exercise(rule, choice, ruleArgument(choice, transfer)));
  scope.create(
    scope.template(APP_NAME, TRANSFER_MODULE, 'ExecutedTransfer'),
    record(appType(TRANSFER_MODULE, 'ExecutedTransfer'), {
      ...infrastructure(partyField(contract.createArguments, 'operator'), transfer.instrumentId.admin),
      transfer: transferRecord(transfer),
    }),
  );
  return transferResult({ kind: 'completed', receiverHoldingCids: [outputCid] }, changeCids, new Map());
}

function endOffer(
  choice: Exclude<InstructionChoice, 'Accept'>,
  controller: (transfer: Transfer) => string,
): Template['choices'] {
  return {
    [`TransferInstruction_${choice}`]: {
      interfaceId: TRANSFER_INSTRUCTION,
      consuming: true,
      controllers: (contract) => [controller(offerTransfer(contract))],
      run: (scope, contract) => {
        const transfer = offerTransfer(contract);
        if (choice === 'Update') scope.requireAtOrAfter(transfer.executeBeforeMicros, 'transfer.executeBefore');
        const operator = partyField(contract.createArguments, 'operator');
        const { outputCid } = move(scope, transfer, operator, { owner: transfer.sender });
        return transferResult({ kind: 'failed' }, [outputCid], new Map());
      },
    },
  };
}

const executedTemplate: Template = {
  templateId: appType(TRANSFER_MODULE, 'ExecutedTransfer'),
  packageName: APP_NAME,
  signatories: (args) => {
    const { sender, receiver } = transferOf(recordField(args, 'transfer'));
    return [...adminsOf(args), sender, receiver];
  },
  observers: () => [],
  interfaces: [],
  choices: {},
};

const mintTemplate: Template = {
  templateId: appType(MINT_MODULE, 'MintRequest'),
  packageName: APP_NAME,
  signatories: (args) => [partyField(args, 'holder')],
  observers: adminsOf,
  interfaces: [],
  choices: {
    MintRequest_Accept: {
      consuming: true,
      controllers: ({ createArguments }) => adminsOf(createArguments),
      run: (scope, { createArguments }) => {
        const holding = holdingArguments(
          partyField(createArguments, 'operator'),
          { admin: partyField(createArguments, 'registrar'), id: textField(createArguments, 'instrument') },
          partyField(createArguments, 'holder'),
          decimalField(createArguments, 'amount'),
        );
        const holdingCid = scope.create(scope.template(HOLDING_NAME, HOLDING_MODULE, 'Holding'), holding);
        return recordValue(
          record(appType(MINT_MODULE, 'MintRequest_AcceptResult'), {
            holdingCid: contractId(holdingCid),
            meta: metadata(metaValues({ [META.txKind]: 'mint' })),
          }),
        );
      },
    },
  },
};

/** The packages are the same for every token of the utility. */
export const UTILITY_PACKAGES: readonly Package[] = [
  ...UTILITY_HOLDING_PACKAGES,
  {
    packageName: APP_NAME,
    packageId: appPackage,
    interfaces: [],
    templates: [factoryTemplate, preapprovalTemplate, offerTemplate, executedTemplate, mintTemplate],
  },
];

export function createUtilityToken({ name, instrumentId, operator }: UtilityRegistryOptions): Token {
  const { admin } = instrumentId;
  const preapprovals = new Map<string, string>();
  let factoryCid = '';
  let ruleCid = '';
  const create = (
    ledger: TokenLedger,
    template: Template,
    createArguments: DamlRecord,
    actAs: readonly string[],
  ): string => {
    const [created] = ledger.submit({ commands: [{ kind: 'create', template, createArguments }], actAs }, 'new');
    return created === undefined ? '' : contractIdOf(created);
  };
  const base = (): [string, Value][] => [['utility.digitalasset.com/transfer-rule', contextCid(ruleCid)]];
  return {
    name,
    instrumentId,
    packages: UTILITY_PACKAGES,
    install: (ledger) => {
      const fields = infrastructure(operator, admin);
      factoryCid = create(ledger, factoryTemplate, record(factoryTemplate.templateId, fields), [operator, admin]);
      ruleCid = create(ledger, ruleTemplate, record(ruleTemplate.templateId, fields), [operator, admin]);
    },
    preapprove: (ledger, receiver) => {
      const fields = { ...infrastructure(operator, admin), receiver: party(receiver) };
      const args = record(preapprovalTemplate.templateId, fields);
      preapprovals.set(receiver, create(ledger, preapprovalTemplate, args, [operator, admin, receiver]));
    },
    planTransfer: ({ sender, receiver }, { asOffer }) => {
      const preapproval = asOffer ? undefined : preapprovals.get(receiver);
      if (sender === receiver) return { kind: 'self', factoryCid, context: new Map(base()) };
      if (preapproval === undefined) return { kind: 'offer', factoryCid, context: new Map(base()) };
      const context = new Map([
        ...base(),
        ['utility.digitalasset.com/transfer-preapproval', contextCid(preapproval)] as const,
      ]);
      return { kind: 'direct', factoryCid, context };
    },
    instructionContext: (_choice, generation) =>
      new Map(
        generation === 'old'
          ? base()
          : [...base(), ['utility.digitalasset.com/two-step', contextCid(ruleCid)] as const],
      ),
    mint: (_ledger, owner, amountUnits) => ({
      commands: [
        {
          kind: 'createAndExercise',
          template: mintTemplate,
          createArguments: record(mintTemplate.templateId, {
            ...infrastructure(operator, admin),
            holder: party(owner),
            instrument: text(instrumentId.id),
            amount: decimal(amountUnits),
          }),
          choice: 'MintRequest_Accept',
          argument: record(appType(MINT_MODULE, 'MintRequest_Accept'), {}),
        },
      ],
      actAs: [owner, operator, admin],
    }),
  };
}
