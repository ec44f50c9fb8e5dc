/**
 * What the registry of one instrument admin answers, by path. Paths, bodies and status codes are those of the token standard's OpenAPI
 * documents (transfer-instruction-v1, token-metadata-v1).
 */
import { z } from 'zod';
import type { Contract } from '../daml/contract.ts';
import { damlJsonOf, isoOfMicros } from '../daml/daml-json.ts';
import type { ContractLookup } from '../daml/interpreter.ts';
import { typedValue } from '../daml/typed-value.ts';
import { keyOf, recordField, recordOf, recordValue, textMap, type Value } from '../daml/value.ts';
import { createdEventBlob } from '../ledger/projection.ts';
import { instructionOf } from '../network-commands.ts';
import { type Json, valueOfJson } from '../recorded/lf-type.ts';
import { COMMAND_ARGUMENTS } from '../recorded/splice-types.ts';
import {
  type ChoiceContext,
  contextBool,
  type InstructionChoice,
  type Transfer,
  transferOf,
} from '../tokens/standard.ts';
import type { Token } from '../tokens/token.ts';
import { isPermanent, RegistryRefusal } from './registry-refusal.ts';

export type RegistryContext = {
  readonly admin: string;
  /** The admin's instruments. */
  readonly tokens: readonly Token[];
  readonly contracts: ContractLookup;
  readonly synchronizerId: string;
};

const APIS = { 'splice-api-token-metadata-v1': 1, 'splice-api-token-transfer-instruction-v1': 1 } as const;
const PAGE_SIZE = 25;
const DECIMALS = 10;

const json: z.ZodType<Json> = z.lazy(() =>
  z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(json), z.record(z.string(), json)]),
);
const factoryRequest = z.object({ choiceArguments: json, excludeDebugFields: z.boolean().optional() });
const contextRequest = z.object({
  meta: z.record(z.string(), z.string()).optional(),
  excludeDebugFields: z.boolean().optional(),
});
const CHOICES: Readonly<Record<string, InstructionChoice>> = {
  accept: 'Accept',
  reject: 'Reject',
  withdraw: 'Withdraw',
};

/** @throws RegistryRefusal with the status and text to answer. */
export function answerRegistry(
  context: RegistryContext,
  { method, url, body }: { readonly method: string; readonly url: URL; readonly body: unknown },
): unknown {
  const [registry, api = '', version, first, second, third, ...rest] = url.pathname
    .split('/')
    .slice(1)
    .map((part) => decodeURIComponent(part));
  if (registry !== 'registry' || version !== 'v1' || rest.length > 0) throw noRoute(method, url.pathname);
  if (api === 'transfer-instruction' && method === 'POST') {
    if (first === 'transfer-factory' && second === undefined)
      return transferFactory(context, parsed(factoryRequest, body));
    const choice = third !== undefined && Object.hasOwn(CHOICES, third) ? CHOICES[third] : undefined;
    if (first !== undefined && second === 'choice-contexts' && choice !== undefined) {
      return instructionContext(context, first, choice, parsed(contextRequest, body).excludeDebugFields === true);
    }
  }
  if (api === 'metadata' && method === 'GET' && third === undefined) {
    if (first === 'info' && second === undefined) return { adminId: context.admin, supportedApis: APIS };
    if (first === 'instruments') return second === undefined ? instruments(context, url) : instrument(context, second);
  }
  throw noRoute(method, url.pathname);
}

function transferFactory(
  context: RegistryContext,
  { choiceArguments, excludeDebugFields }: z.infer<typeof factoryRequest>,
): unknown {
  const { expectedAdmin, transfer } = readTransfer(choiceArguments);
  if (expectedAdmin !== context.admin)
    throw new RegistryRefusal(400, `Expected admin ${context.admin}, not ${expectedAdmin}`);
  const token = context.tokens.find(
    ({ instrumentId }) =>
      instrumentId.admin === transfer.instrumentId.admin && instrumentId.id === transfer.instrumentId.id,
  );
  if (token === undefined)
    throw new RegistryRefusal(404, `No transfer factory for instrument ${transfer.instrumentId.id}`);
  const plan = token.planTransfer(transfer, { generation: 'new', asOffer: false });
  const disclosed = [plan.factoryCid, ...contractIdsOf(plan.context)];
  return {
    factoryId: plan.factoryCid,
    transferKind: plan.kind,
    choiceContext: choiceContext(context, plan.context, disclosed, excludeDebugFields === true),
  };
}

function instructionContext(
  context: RegistryContext,
  instructionCid: string,
  choice: InstructionChoice,
  excludeDebugFields: boolean,
): unknown {
  const known = context.contracts.find(instructionCid);
  const transfer = known?.isActive ? instructionOf(known.contract) : undefined;
  const token = context.tokens.find(
    ({ instrumentId }) =>
      instrumentId.admin === transfer?.instrumentId.admin && instrumentId.id === transfer.instrumentId.id,
  );
  if (transfer === undefined || token === undefined) {
    throw new RegistryRefusal(404, `No transfer instruction ${instructionCid}`);
  }
  const values = token.instructionContext(choice, 'new');
  const isBacked = transfer.inputHoldingCids.every((cid) => context.contracts.find(cid)?.isActive === true);
  if (!isBacked) {
    if (choice === 'Accept') throw new RegistryRefusal(404, `The locked holding of ${instructionCid} is gone`);
    // The lock expired and was released: nothing is left to give back.
    if (values.has('expire-lock')) {
      return choiceContext(context, new Map([['expire-lock', contextBool(false)]]), [], excludeDebugFields);
    }
  }
  return choiceContext(context, values, [...contractIdsOf(values), ...transfer.inputHoldingCids], excludeDebugFields);
}

function choiceContext(
  { contracts, synchronizerId }: RegistryContext,
  values: ChoiceContext,
  disclosed: readonly string[],
  excludeDebugFields: boolean,
): unknown {
  const found = [...new Set(disclosed)].flatMap((id) => {
    const contract = contracts.find(id)?.contract;
    return contract === undefined ? [] : [contract];
  });
  return {
    choiceContextData: { values: damlJsonOf(textMap(values)) },
    disclosedContracts: found.map((contract) => ({
      templateId: keyOf(contract.templateId),
      contractId: contract.contractId,
      createdEventBlob: Buffer.from(createdEventBlob(contract)).toString('base64'),
      synchronizerId,
      ...(excludeDebugFields ? {} : debugFields(contract)),
    })),
  };
}

function debugFields({ packageName, createArguments, createdAtMicros }: Contract): Readonly<Record<string, unknown>> {
  return {
    debugPackageName: packageName,
    debugPayload: damlJsonOf(recordValue(createArguments)),
    debugCreatedAt: isoOfMicros(createdAtMicros),
  };
}

function instruments({ tokens }: RegistryContext, { searchParams }: URL): unknown {
  const size = Number(searchParams.get('pageSize') ?? PAGE_SIZE);
  if (!Number.isInteger(size) || size < 1) throw new RegistryRefusal(400, 'pageSize is not a positive number');
  const after = searchParams.get('pageToken');
  const sorted = [...tokens].sort((left, right) => (left.instrumentId.id < right.instrumentId.id ? -1 : 1));
  const rest = sorted.filter(({ instrumentId }) => after === null || instrumentId.id > after);
  const page = rest.slice(0, size);
  const last = page.at(-1);
  return {
    instruments: page.map(describe),
    ...(rest.length > size && last !== undefined ? { nextPageToken: last.instrumentId.id } : {}),
  };
}

function instrument({ tokens }: RegistryContext, id: string): unknown {
  const found = tokens.find(({ instrumentId }) => instrumentId.id === id);
  if (found === undefined) throw new RegistryRefusal(404, `No instrument ${id}`);
  return describe(found);
}

function describe({ name, instrumentId }: Token): Readonly<Record<string, unknown>> {
  return {
    id: instrumentId.id,
    name: name[0]?.toUpperCase() + name.slice(1),
    symbol: instrumentId.id,
    decimals: DECIMALS,
    supportedApis: APIS,
  };
}

function readTransfer(choiceArguments: Json): { readonly expectedAdmin: string; readonly transfer: Transfer } {
  const type = COMMAND_ARGUMENTS['TransferFactory_Transfer'];
  if (type === undefined) throw new RegistryRefusal(500, 'The choice has no description.');
  try {
    const argument = recordOf(typedValue(valueOfJson(choiceArguments, type), type, 'choiceArguments'));
    const [expectedAdmin] = argument.fields;
    const admin = expectedAdmin?.value?.sum;
    return {
      expectedAdmin: admin?.$case === 'party' ? admin.value : '',
      transfer: transferOf(recordField(argument, 'transfer')),
    };
  } catch (error) {
    if (isPermanent(error)) throw new RegistryRefusal(400, `Failed to decode choiceArguments: ${error.message}`);
    throw error;
  }
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new RegistryRefusal(400, `The request content was malformed: ${z.prettifyError(result.error)}`);
}

function contractIdsOf(context: ChoiceContext): readonly string[] {
  return [...context.values()].flatMap((value: Value) => {
    const inner = value.sum?.$case === 'variant' ? value.sum.value.value?.sum : undefined;
    return inner?.$case === 'contractId' ? [inner.value] : [];
  });
}

function noRoute(method: string, path: string): RegistryRefusal {
  return new RegistryRefusal(404, `The requested resource could not be found: ${method} ${path}`);
}
