/** Canton Coin's transfers as its package 0.1.21 makes them. */
import { transferValue } from '../../src/custody/transfer-argument.ts';
import type { TransferIntent } from '../../src/custody/transfer-intent.ts';
import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
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
  time,
  variant,
} from '../../src/signer/kit/prepared-builder.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { META_REASON } from '../../src/tokens/standard.ts';
import {
  COMMON,
  CUSTOMER,
  cid,
  completed,
  contextCid,
  DSO,
  factoryChoice,
  MINUTE,
  metadata,
  old,
  PROVIDER,
  pending,
  preparedMetadata,
  RECORD_TIME,
  restOf,
  TREASURY,
} from './sample-values.ts';

const AMULET_PACKAGE = '1b1f0d4e3c2ab7a8f6d5e4c3b2a190817263544536271809fedcba9876543210';
const amuletType = (module: string, entity: string) => id(AMULET_PACKAGE, module, entity);
export function amuletIntent(kind: TransferIntent['kind'], change: Partial<TransferIntent> = {}): TransferIntent {
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

/** Canton Coin 0.1.21 through a preapproval; the second input was locked once, and its lock has expired. */
export function amuletDirect(intent: TransferIntent): PreparedTransaction {
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
export function amuletOffer(intent: TransferIntent): PreparedTransaction {
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
