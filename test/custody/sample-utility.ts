/** Transfers of the utility registry, and of a registry that is not known. */
import { transferArgument, transferValue } from '../../src/custody/transfer-argument.ts';
import type { TransferIntent } from '../../src/custody/transfer-intent.ts';
import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import {
  type Contract,
  contractId,
  createTreeBuilder,
  id,
  list,
  numeric,
  party,
  record,
  some,
  type TreeBuilder,
  text,
} from '../../src/signer/kit/prepared-builder.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import {
  BRIDGE,
  COMMON,
  CUSTOMER,
  cid,
  completed,
  contextCid,
  factoryChoice,
  OPERATOR,
  old,
  pending,
  preparedMetadata,
  REGISTRAR,
  restOf,
  TREASURY,
} from './sample-values.ts';

const utilityType = (module: string, entity: string) =>
  id('7a75ef6e69f69395a4e60919e228528bb8f3881150ccfde3f31bcc73864b18ab', `Utility.Registry.${module}`, entity);
const UTILITY_FACTORY: Contract = {
  contractId: old('allocation-factory'),
  packageName: 'utility-registry-app-v0',
  templateId: utilityType('App.V0.Service.AllocationFactory', 'AllocationFactory'),
  argument: record(utilityType('App.V0.Service.AllocationFactory', 'AllocationFactory'), {
    registrar: party(REGISTRAR),
  }),
  signatories: [BRIDGE, REGISTRAR],
  observers: [OPERATOR],
};
const UTILITY_RULE: Contract = {
  contractId: old('transfer-rule'),
  packageName: 'utility-registry-v0',
  templateId: utilityType('V0.Rule.Transfer', 'TransferRule'),
  argument: record(utilityType('V0.Rule.Transfer', 'TransferRule'), { registrar: party(REGISTRAR) }),
  signatories: [BRIDGE, REGISTRAR],
  observers: [OPERATOR],
};
/** The receiver signs it alone; it is a transfer factory itself. */
export const utilityPreapproval = (receiver: string): Contract => ({
  contractId: old('usd-preapproval'),
  packageName: 'utility-registry-app-v0',
  templateId: utilityType('App.V0.Model.TransferPreapproval', 'TransferPreapproval'),
  argument: record(utilityType('App.V0.Model.TransferPreapproval', 'TransferPreapproval'), {
    operator: party(OPERATOR),
    receiver: party(receiver),
    instrumentAdmin: party(REGISTRAR),
    instrumentAllowances: list(),
  }),
  signatories: [receiver],
  observers: [OPERATOR, REGISTRAR],
});

function utilityHolding(contract: string, owner: string, amount: bigint, isLocked = false): Contract {
  return {
    contractId: contract,
    packageName: 'utility-registry-holding-v0',
    templateId: utilityType('Holding.V0.Holding', 'Holding'),
    argument: record(utilityType('Holding.V0.Holding', 'Holding'), {
      operator: party(OPERATOR),
      provider: party(BRIDGE),
      registrar: party(REGISTRAR),
      owner: party(owner),
      instrument: record(utilityType('Holding.V0.Types', 'InstrumentIdentifier'), {
        source: party(REGISTRAR),
        id: text('USDCx'),
        scheme: text('RegistrarInternalScheme'),
      }),
      label: text(''),
      amount: numeric(formatAmount(amount)),
      ...(isLocked
        ? { lock: some(record(utilityType('Holding.V0.Types', 'Lock'), { locker: party(REGISTRAR) })) }
        : {}),
    }),
    signatories: [owner, REGISTRAR],
    observers: [BRIDGE, OPERATOR],
  };
}

export function utilityIntent(kind: TransferIntent['kind'], change: Partial<TransferIntent> = {}): TransferIntent {
  return {
    ...COMMON,
    kind,
    implementation: 'UTILITY_REGISTRY',
    instrument: { admin: REGISTRAR, id: 'USDCx' },
    inputs: [
      { contractId: old('usd-1'), amount: parseAmount('60') },
      { contractId: old('usd-2'), amount: parseAmount('40.5000000001') },
    ],
    factory: UTILITY_FACTORY.contractId,
    choiceContext: new Map([['utility.digitalasset.com/transfer-rule', contextCid('transfer-rule')]]),
    ...change,
  };
}

/** The factory calls itself under its own name, as the utility registry does. */
function utilityFactoryTree(
  intent: TransferIntent,
  value: Value,
  known: readonly Contract[],
  below: (tree: TreeBuilder) => void,
): PreparedTransaction {
  const tree = createTreeBuilder([...known, UTILITY_FACTORY, UTILITY_RULE, utilityPreapproval(intent.receiver)]);
  tree.exercise(factoryChoice(intent, UTILITY_FACTORY, value), () => {
    tree.exercise(
      {
        on: UTILITY_FACTORY,
        choice: 'AllocationFactory_TransferInternal',
        acting: [BRIDGE, TREASURY, REGISTRAR],
        argument: record(utilityType('App.V0.Service.AllocationFactory', 'AllocationFactory_TransferInternal'), {
          payload: transferArgument({ ...intent, choiceContext: new Map() }),
        }),
        result: value,
        observers: [TREASURY, OPERATOR],
      },
      () => below(tree),
    );
  });
  return tree.prepared(preparedMetadata(intent));
}

/** What both ways of a direct transfer come to: the rule of the registry, with the authority of both sides. */
function utilityMovement(intent: TransferIntent) {
  const inputs = intent.inputs.map((input) => utilityHolding(input.contractId, TREASURY, input.amount));
  const output = utilityHolding(cid('output'), intent.receiver, intent.amount);
  const rest = restOf(intent);
  const change = rest === 0n ? null : utilityHolding(cid('change'), TREASURY, rest);
  const move = (tree: TreeBuilder): void => {
    for (const input of inputs) {
      tree.fetch(input, [TREASURY, REGISTRAR]);
      tree.archive(input, [TREASURY, REGISTRAR]);
    }
    tree.create(output);
    if (change !== null) tree.create(change);
  };
  const rule = (tree: TreeBuilder): void => {
    tree.exercise(
      {
        on: UTILITY_RULE,
        choice: 'TransferRule_DirectTransfer',
        acting: [TREASURY, intent.receiver],
        argument: record(utilityType('V0.Rule.Transfer', 'TransferRule_DirectTransfer'), {
          transfer: transferValue(
            intent,
            intent.inputs.map((input) => input.contractId),
          ),
        }),
        result: contractId(output.contractId),
      },
      () => move(tree),
    );
  };
  return { inputs, move, rule, value: completed(output.contractId, change?.contractId ?? null) };
}

/** From the registry's factory through the receiver's preapproval; a merge needs neither preapproval nor rule. */
export function utilityDirect(intent: TransferIntent): PreparedTransaction {
  const { inputs, move, rule, value } = utilityMovement(intent);
  return utilityFactoryTree(intent, value, inputs, (tree) => {
    if (intent.receiver === intent.sender) return move(tree);
    const on = utilityPreapproval(intent.receiver);
    tree.exercise(factoryChoice({ ...intent, choiceContext: new Map() }, on, value), () => rule(tree));
  });
}

/** The registry names the receiver's preapproval as the factory. */
export function utilityPreapproved(intent: TransferIntent): PreparedTransaction {
  const { inputs, rule, value } = utilityMovement(intent);
  const on = utilityPreapproval(intent.receiver);
  const tree = createTreeBuilder([...inputs, on, UTILITY_RULE]);
  tree.exercise(factoryChoice(intent, on, value), () => rule(tree));
  return tree.prepared(preparedMetadata(intent));
}

export function utilityOffer(intent: TransferIntent): PreparedTransaction {
  const inputs = intent.inputs.map((input) => utilityHolding(input.contractId, TREASURY, input.amount));
  const locked = { ...utilityHolding(cid('locked'), TREASURY, intent.amount, true), observers: [CUSTOMER, OPERATOR] };
  const change = utilityHolding(cid('change'), TREASURY, restOf(intent));
  const offer: Contract = {
    contractId: cid('offer'),
    packageName: 'utility-registry-app-v0',
    templateId: utilityType('App.V0.Model.Transfer', 'TransferOffer'),
    argument: record(utilityType('App.V0.Model.Transfer', 'TransferOffer'), {
      operator: party(OPERATOR),
      transfer: transferValue(intent, [locked.contractId]),
    }),
    signatories: [REGISTRAR, TREASURY],
    observers: [CUSTOMER],
  };
  return utilityFactoryTree(intent, pending(offer.contractId, change.contractId), inputs, (tree) => {
    for (const input of inputs) tree.archive(input, [TREASURY, REGISTRAR]);
    tree.create(locked);
    tree.create(change);
    tree.create(offer);
  });
}

const otherType = (entity: string) =>
  id('c0ffee0000000000000000000000000000000000000000000000000000000000', 'Some.Registry', entity);

function otherContract(
  contract: string,
  entity: string,
  argument: Readonly<Record<string, Value>>,
  observers: string[],
): Contract {
  return {
    contractId: contract,
    packageName: 'some-registry',
    templateId: otherType(entity),
    argument: record(otherType(entity), argument),
    signatories: [REGISTRAR],
    observers,
  };
}

const token = (contract: string, owner: string, amount: bigint): Contract =>
  otherContract(contract, 'Token', { holder: party(owner), quantity: numeric(formatAmount(amount)) }, [owner]);

/** A registry nobody told us of, with its own template names and fields; an offer there locks a token of its own. */
export function otherTransfer(intent: TransferIntent): PreparedTransaction {
  const factory = otherContract(intent.factory, 'Factory', { admin: party(REGISTRAR) }, []);
  const inputs = intent.inputs.map((input) => token(input.contractId, TREASURY, input.amount));
  const change = token(cid('change'), TREASURY, restOf(intent));
  const output = token(cid('output'), intent.kind === 'DIRECT' ? CUSTOMER : TREASURY, intent.amount);
  const fields = {
    locked: contractId(output.contractId),
    transfer: transferValue(
      intent,
      intent.inputs.map((input) => input.contractId),
    ),
  };
  const offer = otherContract(cid('offer'), 'Offer', fields, [CUSTOMER, TREASURY]);
  const value =
    intent.kind === 'DIRECT'
      ? completed(output.contractId, change.contractId)
      : pending(offer.contractId, change.contractId);
  const tree = createTreeBuilder([...inputs, factory]);
  tree.exercise(factoryChoice(intent, factory, value), () => {
    for (const input of inputs) {
      tree.fetch(input, [REGISTRAR]);
      tree.archive(input, [REGISTRAR]);
    }
    tree.create(output);
    tree.create(change);
    if (intent.kind === 'OFFER') tree.create(offer);
  });
  return tree.prepared(preparedMetadata(intent));
}
