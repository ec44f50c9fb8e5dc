/**
 * Contracts that wrap standard choices, as wallets and featured apps use them: the delegate proxy around one choice, and a batch around
 * several. To a reader the standard choice is a child of a choice it may not know.
 */
import type { Choice, Package, Template } from '../daml/template.ts';
import {
  contractId,
  contractIdField,
  type DamlRecord,
  type Identifier,
  identifier,
  list,
  listField,
  optional,
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

export const WRAPPER_PACKAGE_NAME = 'splice-util-featured-app-proxies';
const PACKAGE_ID = packageId('splice-util-featured-app-proxies-1.2.2');
const PROXY_MODULE = 'Splice.Util.FeaturedApp.DelegateProxy';
const BATCH_MODULE = 'Splice.Util.FeaturedApp.BatchingUtilityV2';

const proxyType = (entity: string): Identifier => identifier(PACKAGE_ID, PROXY_MODULE, entity);
const batchType = (entity: string): Identifier => identifier(PACKAGE_ID, BATCH_MODULE, entity);

/** A standard choice to be wrapped. */
export type Call = { readonly contractId: string; readonly choice: string; readonly argument: DamlRecord };

const PROXIED = [
  'TransferFactory_Transfer',
  'TransferInstruction_Accept',
  'TransferInstruction_Reject',
  'TransferInstruction_Withdraw',
] as const;

const proxyTemplate: Template = {
  templateId: proxyType('DelegateProxy'),
  packageName: WRAPPER_PACKAGE_NAME,
  signatories: (args) => [partyField(args, 'provider')],
  observers: (args) => [partyField(args, 'delegate')],
  interfaces: [],
  choices: Object.fromEntries(
    PROXIED.map((choice): [string, Choice] => [
      `DelegateProxy_${choice}`,
      {
        consuming: false,
        controllers: ({ createArguments }) => [partyField(createArguments, 'delegate')],
        run: (scope, _contract, argument) => {
          const inner = recordField(recordField(argument, 'proxyArg'), 'choiceArg');
          const result = scope.exercise(contractIdField(argument, 'cid'), choice, inner);
          return recordValue(
            record(proxyType('ProxyResult'), {
              markerResult: recordValue(record(proxyType('MarkerResult'), {})),
              choiceResult: result,
            }),
          );
        },
      },
    ]),
  ),
};

const batchTemplate: Template = {
  templateId: batchType('BatchingUtilityV2'),
  packageName: WRAPPER_PACKAGE_NAME,
  signatories: (args) => [partyField(args, 'user')],
  observers: () => [],
  interfaces: [],
  choices: {
    BatchingUtilityV2_ExecuteBatch: {
      consuming: true,
      controllers: ({ createArguments }) => [partyField(createArguments, 'user')],
      run: (scope, _contract, argument) => {
        const results = listField(argument, 'calls').map((call) => {
          const fields = recordOf(call);
          return scope.exercise(
            contractIdField(fields, 'cid'),
            textField(fields, 'choice'),
            recordField(fields, 'choiceArg'),
          );
        });
        return recordValue(record(batchType('BatchingUtilityV2_ExecuteBatchResult'), { results: list(results) }));
      },
    },
  },
};

export const WRAPPER_PACKAGES: readonly Package[] = [
  {
    packageId: PACKAGE_ID,
    packageName: WRAPPER_PACKAGE_NAME,
    interfaces: [],
    templates: [proxyTemplate, batchTemplate],
  },
];

export function proxyArguments(provider: string, delegate: string): DamlRecord {
  return record(proxyType('DelegateProxy'), { provider: party(provider), delegate: party(delegate) });
}

export { batchTemplate as BATCH_TEMPLATE, proxyTemplate as PROXY_TEMPLATE };

/** The call as a choice of a proxy. Only the standard's own choices can be proxied. */
export function proxied(proxyCid: string, call: Call): Call {
  const proxyArg = record(proxyType('ProxyArg'), {
    choiceArg: recordValue(call.argument),
    featuredAppRightCid: optional(undefined),
    beneficiaries: list([]),
  });
  const choice = `DelegateProxy_${call.choice}`;
  return {
    contractId: proxyCid,
    choice,
    argument: record(proxyType(choice), { cid: contractId(call.contractId), proxyArg: recordValue(proxyArg) }),
  };
}

export function batchArguments(user: string): DamlRecord {
  return record(batchType('BatchingUtilityV2'), { user: party(user) });
}

export function batchArgument(calls: readonly Call[]): DamlRecord {
  const values = calls.map(
    (call): Value =>
      recordValue(
        record(batchType('BatchedCall'), {
          cid: contractId(call.contractId),
          choice: text(call.choice),
          choiceArg: recordValue(call.argument),
        }),
      ),
  );
  return record(batchType('BatchingUtilityV2_ExecuteBatch'), { calls: list(values) });
}
