/** Transfers as the known registries prepare them, each with the intent it answers: small, but node for node in the shape seen on MainNet. */
import { readFileSync } from 'node:fs';
import { decodePrepared } from '../../src/custody/prepared-transaction.ts';
import type { HashScheme } from '../../src/custody/transaction-hash.ts';
import { transferArgument, transferValue } from '../../src/custody/transfer-argument.ts';
import type { TransferIntent } from '../../src/custody/transfer-intent.ts';
import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { META_REASON } from '../../src/tokens/standard.ts';
import {
  type Contract,
  contractId,
  createTreeBuilder,
  id,
  int64,
  list,
  numeric,
  party,
  record,
  some,
  type TreeBuilder,
  text,
  textMap,
  time,
  variant,
} from './prepared-builder.ts';

export type Sample = {
  readonly name: string;
  readonly intent: TransferIntent;
  readonly scheme: HashScheme;
  /** The last ingested record time. */
  readonly recordTime: bigint;
  /** A fresh copy at every call. */
  readonly prepared: () => PreparedTransaction;
};

const key = (name: string): string => `1220${Buffer.from(name.padEnd(32, '.')).toString('hex')}`;
const partyOf = (name: string): string => `${name}::${key(name)}`;
export const TREASURY = partyOf('treasury');
export const CUSTOMER = partyOf('customer');
export const STRANGER = partyOf('stranger');
const DSO = partyOf('DSO');
const PROVIDER = partyOf('app-provider');
const REGISTRAR = partyOf('usd-registrar');
const OPERATOR = partyOf('auth0-operator');
const BRIDGE = partyOf('Bridge-Operator');
const SYNCHRONIZER = `global-domain::${key('synchronizer')}`;
const RECORD_TIME = 1_786_000_000_000_000n;
const MINUTE = 60_000_000n;

/** An absolute contract id as Canton prints one: discriminator, and for contracts that exist already an authenticating suffix. */
const cid = (name: string, suffix = ''): string => `00${Buffer.from(name.padEnd(32, '-')).toString('hex')}${suffix}`;
const old = (name: string): string => cid(name, 'ca1112200318b7f84066');

const AMULET_PACKAGE = '1b1f0d4e3c2ab7a8f6d5e4c3b2a190817263544536271809fedcba9876543210';
const amuletType = (module: string, entity: string) => id(AMULET_PACKAGE, module, entity);
const TRANSFER_PACKAGE = '55ba4deb0ad4662c4168b39859738a0e91388d252286480c7331b3f71a517281';
const transferType = (entity: string) => id(TRANSFER_PACKAGE, 'Splice.Api.Token.TransferInstructionV1', entity);
const metadataType = (entity: string) =>
  id('4ded6b668cb3b64f7a88a30874cd41c75829f5e064b3fbbadf41ec7e8363354f', 'Splice.Api.Token.MetadataV1', entity);
const metadata = (values: Readonly<Record<string, string>>): Value =>
  record(metadataType('Metadata'), {
    values: textMap(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, text(value)]))),
  });
const contextCid = (name: string): Value => variant(metadataType('AnyValue'), 'AV_ContractId', contractId(old(name)));

const META = new Map([
  [META_REASON, 'customer memo 42'],
  ['sluice/withdrawal', 'wd_0123456789abcdef'],
]);

const COMMON = {
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

function amuletIntent(kind: TransferIntent['kind'], change: Partial<TransferIntent> = {}): TransferIntent {
  return {
    ...COMMON,
    kind,
    implementation: 'SPLICE_AMULET',
    instrument: { admin: DSO, id: 'Amulet' },
    inputs: [
      { contractId: old('amulet-1'), amount: parseAmount('70') },
      { contractId: old('amulet-2'), amount: parseAmount('50.25') },
    ],
    factory: old('factory'),
    choiceContext: new Map([
      ['amulet-rules', contextCid('rules')],
      ['external-party-config-state', contextCid('config')],
      ...(kind === 'DIRECT' ? [['transfer-preapproval', contextCid('preapproval')] as const] : []),
    ]),
    ...change,
  };
}

function amuletContract(module: string, entity: string, spec: Omit<Contract, 'packageName' | 'templateId'>): Contract {
  return { packageName: 'splice-amulet', templateId: amuletType(module, entity), ...spec };
}

function amuletArgument(owner: string, amount: bigint): Value {
  return record(amuletType('Splice.Amulet', 'Amulet'), {
    dso: party(DSO),
    owner: party(owner),
    amount: record(amuletType('Splice.Fees', 'ExpiringAmount'), {
      initialAmount: numeric(formatAmount(amount)),
      createdAt: record(amuletType('Splice.Types', 'Round'), { number: int64(9_007_199_254_740_993n) }),
      ratePerRound: record(amuletType('Splice.Fees', 'RatePerRound'), { rate: numeric('0.0038051800') }),
    }),
  });
}

const amulet = (contract: string, owner: string, amount: bigint): Contract =>
  amuletContract('Splice.Amulet', 'Amulet', {
    contractId: contract,
    argument: amuletArgument(owner, amount),
    signatories: [DSO, owner],
  });

function lockedAmulet(contract: string, owner: string, amount: bigint, expiresAt: bigint): Contract {
  return amuletContract('Splice.Amulet', 'LockedAmulet', {
    contractId: contract,
    argument: record(amuletType('Splice.Amulet', 'LockedAmulet'), {
      amulet: amuletArgument(owner, amount),
      lock: record(amuletType('Splice.Expiry', 'TimeLock'), { holders: list(party(DSO)), expiresAt: time(expiresAt) }),
    }),
    signatories: [DSO, owner],
  });
}

const singleton = (module: string, entity: string, name: string): Contract =>
  amuletContract(module, entity, {
    contractId: old(name),
    argument: record(amuletType(module, entity), { dso: party(DSO) }),
    signatories: [DSO],
  });
const FACTORY = singleton('Splice.ExternalPartyAmuletRules', 'ExternalPartyAmuletRules', 'factory');
const CONFIG = singleton('Splice.ExternalPartyConfigState', 'ExternalPartyConfigState', 'config');
const PREAPPROVAL = amuletContract('Splice.AmuletRules', 'TransferPreapproval', {
  contractId: old('preapproval'),
  argument: record(amuletType('Splice.AmuletRules', 'TransferPreapproval'), {
    dso: party(DSO),
    receiver: party(CUSTOMER),
    provider: party(PROVIDER),
    expiresAt: time(RECORD_TIME + 1_000n * MINUTE),
  }),
  signatories: [DSO, CUSTOMER, PROVIDER],
});

const completed = (output: string, change: string | null): Value =>
  result('Completed', { receiverHoldingCids: list(contractId(output)) }, change);
const pending = (offer: string, change: string | null): Value =>
  result('Pending', { transferInstructionCid: contractId(offer) }, change);

function result(kind: string, output: Readonly<Record<string, Value>>, change: string | null): Value {
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

const factoryChoice = (intent: TransferIntent, on: Contract, value: Value) => ({
  on,
  choice: 'TransferFactory_Transfer',
  acting: [intent.sender],
  argument: transferArgument(intent),
  result: value,
  interfaceId: transferType('TransferFactory'),
});

const restOf = (intent: TransferIntent): bigint =>
  intent.inputs.reduce((sum, input) => sum + input.amount, 0n) - intent.amount;

function eventLog(tree: TreeBuilder, owner: string): void {
  tree.exercise({
    on: CONFIG,
    choice: 'EventLog_HoldingsChange',
    acting: [DSO],
    argument: record(
      id(
        '5c1097a9bad0af4bcfe6d3fb0fe55112d3d11f18eae57ddfb14c20836fee226c',
        'Splice.Api.Token.TransferEventsV2',
        'EventLog_HoldingsChange',
      ),
      {
        admin: party(DSO),
        account: record(amuletType('Splice.Api.Token.HoldingV2', 'Account'), {
          owner: some(party(owner)),
          id: text(''),
        }),
      },
    ),
    result: metadata({}),
    interfaceId: id(
      '5c1097a9bad0af4bcfe6d3fb0fe55112d3d11f18eae57ddfb14c20836fee226c',
      'Splice.Api.Token.TransferEventsV2',
      'EventLog',
    ),
    observers: [owner],
  });
}

function preparedMetadata(intent: TransferIntent) {
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

/** Canton Coin 0.1.21 through a preapproval; the second input was locked once, and its lock has expired. */
function amuletDirect(intent: TransferIntent): PreparedTransaction {
  const [first, second] = intent.inputs as [TransferIntent['inputs'][0], TransferIntent['inputs'][0]];
  const plain = amulet(first.contractId, TREASURY, first.amount);
  const expired = lockedAmulet(second.contractId, TREASURY, second.amount, RECORD_TIME - 100n * MINUTE);
  const released = amulet(cid('released'), TREASURY, second.amount);
  const log = singleton('Splice.AmuletEventLog', 'AmuletEventLog', 'log');
  const passingLog = { ...log, contractId: cid('log') };
  const output = amulet(cid('output'), CUSTOMER, intent.amount);
  const change = amulet(cid('change'), TREASURY, restOf(intent));
  const tree = createTreeBuilder([plain, expired, FACTORY, CONFIG, PREAPPROVAL]);
  tree.exercise(factoryChoice(intent, FACTORY, completed(output.contractId, change.contractId)), () => {
    tree.fetch(PREAPPROVAL, [DSO]);
    tree.fetch(CONFIG, [DSO]);
    tree.fetch(plain, [DSO, TREASURY]);
    tree.fetch(expired, [DSO, TREASURY]);
    tree.exercise(
      {
        on: expired,
        choice: 'LockedAmulet_OwnerExpireLockV2',
        acting: [TREASURY],
        argument: record(amuletType('Splice.Amulet', 'LockedAmulet_OwnerExpireLockV2'), {}),
        result: contractId(released.contractId),
        consuming: true,
      },
      () => {
        tree.create(released);
        tree.create(passingLog);
        tree.archive(passingLog, [DSO]);
      },
    );
    tree.exercise(
      {
        on: PREAPPROVAL,
        choice: 'TransferPreapproval_SendV2',
        acting: [TREASURY],
        argument: record(amuletType('Splice.AmuletRules', 'TransferPreapproval_SendV2'), {
          inputs: list(
            ...[plain, released].map((input) =>
              variant(amuletType('Splice.AmuletRules', 'TransferInput'), 'InputAmulet', contractId(input.contractId)),
            ),
          ),
          amount: numeric(formatAmount(intent.amount)),
          sender: party(TREASURY),
          description: some(text(intent.meta.get(META_REASON) ?? '')),
          meta: some(metadata(Object.fromEntries(intent.meta))),
        }),
        result: metadata({ 'splice.lfdecentralizedtrust.org/tx-kind': 'transfer' }),
      },
      () => {
        tree.fetch(CONFIG, [DSO]);
        for (const input of [plain, released]) {
          tree.fetch(input, [DSO, TREASURY]);
          tree.archive(input, [DSO, TREASURY]);
        }
        tree.create(output);
        tree.create(change);
        tree.create(
          amuletContract('Splice.Amulet', 'FeaturedAppActivityMarker', {
            contractId: cid('marker'),
            argument: record(amuletType('Splice.Amulet', 'FeaturedAppActivityMarker'), { provider: party(PROVIDER) }),
            signatories: [DSO],
            observers: [PROVIDER],
          }),
        );
        eventLog(tree, CUSTOMER);
        eventLog(tree, TREASURY);
      },
    );
  });
  return tree.prepared(preparedMetadata(intent));
}

/** Canton Coin for a receiver without a preapproval. */
function amuletOffer(intent: TransferIntent): PreparedTransaction {
  const inputs = intent.inputs.map((input) => amulet(input.contractId, TREASURY, input.amount));
  const locked = lockedAmulet(cid('locked'), TREASURY, intent.amount, intent.executeBefore);
  const change = amulet(cid('change'), TREASURY, restOf(intent));
  const offer = amuletContract('Splice.AmuletTransferInstruction', 'AmuletTransferInstruction', {
    contractId: cid('offer'),
    argument: record(amuletType('Splice.AmuletTransferInstruction', 'AmuletTransferInstruction'), {
      lockedAmulet: contractId(locked.contractId),
      transfer: transferValue(intent, [locked.contractId]),
    }),
    signatories: [DSO, TREASURY],
    observers: [CUSTOMER],
  });
  const tree = createTreeBuilder([...inputs, FACTORY, CONFIG]);
  tree.exercise(factoryChoice(intent, FACTORY, pending(offer.contractId, change.contractId)), () => {
    tree.fetch(CONFIG, [DSO]);
    for (const input of inputs) {
      tree.fetch(input, [DSO, TREASURY]);
      tree.archive(input, [DSO, TREASURY]);
    }
    tree.create(locked);
    tree.create(change);
    eventLog(tree, TREASURY);
    tree.create(offer);
  });
  return tree.prepared(preparedMetadata(intent));
}

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
const utilityPreapproval = (receiver: string): Contract => ({
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

function utilityIntent(kind: TransferIntent['kind'], change: Partial<TransferIntent> = {}): TransferIntent {
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
  const change = utilityHolding(cid('change'), TREASURY, restOf(intent));
  const move = (tree: TreeBuilder): void => {
    for (const input of inputs) {
      tree.fetch(input, [TREASURY, REGISTRAR]);
      tree.archive(input, [TREASURY, REGISTRAR]);
    }
    tree.create(output);
    tree.create(change);
  };
  const rule = (tree: TreeBuilder): void => {
    tree.exercise(
      {
        on: UTILITY_RULE,
        choice: 'TransferRule_DirectTransfer',
        acting: [TREASURY, intent.receiver],
        argument: record(utilityType('V0.Rule.Transfer', 'TransferRule_DirectTransfer'), {
          transfer: transferValue(intent),
        }),
        result: contractId(output.contractId),
      },
      () => move(tree),
    );
  };
  return { inputs, move, rule, value: completed(output.contractId, change.contractId) };
}

/** From the registry's factory through the receiver's preapproval; a merge needs neither preapproval nor rule. */
function utilityDirect(intent: TransferIntent): PreparedTransaction {
  const { inputs, move, rule, value } = utilityMovement(intent);
  return utilityFactoryTree(intent, value, inputs, (tree) => {
    if (intent.receiver === intent.sender) return move(tree);
    const on = utilityPreapproval(intent.receiver);
    tree.exercise(factoryChoice({ ...intent, choiceContext: new Map() }, on, value), () => rule(tree));
  });
}

/** The registry names the receiver's preapproval as the factory. */
function utilityPreapproved(intent: TransferIntent): PreparedTransaction {
  const { inputs, rule, value } = utilityMovement(intent);
  const on = utilityPreapproval(intent.receiver);
  const tree = createTreeBuilder([...inputs, on, UTILITY_RULE]);
  tree.exercise(factoryChoice(intent, on, value), () => rule(tree));
  return tree.prepared(preparedMetadata(intent));
}

function utilityOffer(intent: TransferIntent): PreparedTransaction {
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

/** A registry nobody told us of: its own template names, its own fields. */
function otherDirect(intent: TransferIntent): PreparedTransaction {
  const type = (entity: string) =>
    id('c0ffee0000000000000000000000000000000000000000000000000000000000', 'Some.Registry', entity);
  const token = (contract: string, owner: string, amount: bigint): Contract => ({
    contractId: contract,
    packageName: 'some-registry',
    templateId: type('Token'),
    argument: record(type('Token'), { holder: party(owner), quantity: numeric(formatAmount(amount)) }),
    signatories: [REGISTRAR],
    observers: [owner],
  });
  const factory: Contract = {
    contractId: intent.factory,
    packageName: 'some-registry',
    templateId: type('Factory'),
    argument: record(type('Factory'), { admin: party(REGISTRAR) }),
    signatories: [REGISTRAR],
  };
  const inputs = intent.inputs.map((input) => token(input.contractId, TREASURY, input.amount));
  const output = token(cid('output'), CUSTOMER, intent.amount);
  const change = token(cid('change'), TREASURY, restOf(intent));
  const tree = createTreeBuilder([...inputs, factory]);
  tree.exercise(factoryChoice(intent, factory, completed(output.contractId, change.contractId)), () => {
    for (const input of inputs) tree.archive(input, [REGISTRAR]);
    tree.create(output);
    tree.create(change);
  });
  return tree.prepared(preparedMetadata(intent));
}

/** A real one, captured from a test network: Canton Coin 0.1.14 through a preapproval, protocol 34. It asked for no last record time. */
function recorded(): Sample {
  const vectors: { name: string; preparedTransactionBase64: string }[] = JSON.parse(
    readFileSync(new URL('../fixtures/hash/hash-vectors.json', import.meta.url), 'utf8'),
  );
  const { preparedTransactionBase64 } = vectors.find(({ name }) => name.includes('externallySigned'))!;
  const admin = 'DSO::1220539c9fc09e744b23a73a602171ed0c6af695c9e613d9d3440090dd6681e45f4e';
  const maxRecordTime = 1_759_128_428_153_604n;
  const original = (): PreparedTransaction => {
    const prepared = decodePrepared(Buffer.from(preparedTransactionBase64, 'base64'));
    prepared.metadata!.maxRecordTime = maxRecordTime;
    return prepared;
  };
  const { metadata: { synchronizerId, submitterInfo, preparationTime } = original().metadata!, transaction } = {
    ...original(),
  };
  const root = transaction!.nodes.find(({ nodeId }) => nodeId === '0')!.versionedNode!.value.nodeType!;
  if (root.$case !== 'exercise') throw new Error('The recorded root is an exercise.');
  const argument = fieldsOf(root.value.chosenValue);
  const context = fieldsOf(fieldsOf(argument['extraArgs'])['context'])['values']?.sum;
  return {
    name: 'Canton Coin 0.1.14, recorded',
    intent: {
      ...COMMON,
      kind: 'DIRECT',
      implementation: 'SPLICE_AMULET',
      sender: 'alice::12203692446d04a07863545a604b475812a21af063c0e79f030db45648aadd609060',
      receiver: 'treasury::122056cb4384f4292b7ba5494e6b7f222ed47f68594663a32763d51531d136d63981',
      instrument: { admin, id: 'Amulet' },
      amount: parseAmount('100'),
      meta: new Map([[META_REASON, 'f0246353-ede9-4ef5-8d0f-6e3e85c3db0a']]),
      requestedAt: 1_759_128_228_153_604n,
      executeBefore: 1_759_214_628_153_604n,
      inputs: [
        {
          contractId:
            '00e664cb7c3f906440865c435dfa62d82097a4e5f4b22d3c7aad363203cf0e3380ca111220d87120d3a5a42523c1504a7b5db16d6e23b8af889946db808417c90480a4a181',
          amount: parseAmount('110'),
        },
      ],
      factory: root.value.contractId,
      choiceContext: new Map(
        context?.$case === 'textMap' ? context.value.entries.map((entry) => [entry.key, entry.value!]) : [],
      ),
      commandId: submitterInfo!.commandId,
      synchronizerId,
      physicalSynchronizerId: synchronizerId, // Protocol 34 signs the logical one.
      maxRecordTime,
    },
    scheme: 'V2',
    recordTime: preparationTime - 1_000_000n,
    prepared: original,
  };
}

function fieldsOf(value: Value | undefined): Readonly<Record<string, Value>> {
  if (value?.sum?.$case !== 'record') throw new Error('Not a record.');
  return Object.fromEntries(value.sum.value.fields.map((entry) => [entry.label, entry.value!]));
}

const sample = (
  name: string,
  intent: TransferIntent,
  build: (intent: TransferIntent) => PreparedTransaction,
): Sample => ({ name, intent, scheme: 'V3', recordTime: RECORD_TIME, prepared: () => build(intent) });

/** A direct transfer of the utility registry with changes to its intent. */
export function directSample(change: Partial<TransferIntent> = {}): Sample {
  return sample('utility registry, direct', utilityIntent('DIRECT', change), utilityDirect);
}

export const holdingId = old;

export const SAMPLES: readonly Sample[] = [
  sample('Canton Coin, direct', amuletIntent('DIRECT'), amuletDirect),
  sample('Canton Coin, offer', amuletIntent('OFFER'), amuletOffer),
  sample('utility registry, direct', utilityIntent('DIRECT'), utilityDirect),
  sample(
    'utility registry, direct by preapproval',
    utilityIntent('DIRECT', { factory: utilityPreapproval(CUSTOMER).contractId }),
    utilityPreapproved,
  ),
  sample('utility registry, offer', utilityIntent('OFFER'), utilityOffer),
  sample('utility registry, merge', utilityIntent('DIRECT', { receiver: TREASURY }), utilityDirect),
  sample('unknown registry, direct', utilityIntent('DIRECT', { implementation: 'OTHER' }), otherDirect),
  recorded(),
];
