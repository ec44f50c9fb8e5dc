/**
 * Client of a token registry: which factory moves an instrument, with what context, and what it takes to end an offer. Nothing that it says is
 * believed beyond its form: the prepared transaction is compared with our own intent before anything is signed.
 * @see Canton token standard (CIP-56): transfer-instruction-v1 and token-metadata-v1 OpenAPI documents.
 */
import { z } from 'zod';
import { formatRecordTime } from '../env/record-time.ts';
import type { DisclosedContract } from '../gen/com/daml/ledger/api/v2/commands.ts';
import type { Identifier } from '../gen/com/daml/ledger/api/v2/value.ts';
import { formatAmount } from '../tokens/amount.ts';
import type { TransferRecord } from '../tokens/transfer-record.ts';
import { type ChoiceContext, ChoiceContextError, readChoiceContext } from './choice-context.ts';
import { type RegistryHttp, retryable } from './registry-http.ts';

/** What the receiver has agreed to at the time of asking: `direct` settles at once, `offer` waits for acceptance, `self` is a merge or split. */
export type TransferKind = 'self' | 'direct' | 'offer';

export type InstructionContext = {
  /** Goes into `extraArgs.context`; see `choiceContextValue`. */
  readonly choiceContext: ChoiceContext;
  /** Goes into `disclosed_contracts` of the submission, in the order given. */
  readonly disclosedContracts: readonly DisclosedContract[];
};

export type TransferFactoryContext = InstructionContext & {
  /** Contract id to exercise `TransferFactory_Transfer` on. */
  readonly factoryId: string;
  readonly transferKind: TransferKind;
};

export type RegistryInstrument = {
  readonly id: string;
  readonly name: string;
  readonly symbol: string;
  /** Digits after the point that make sense to show; 10 when the registry does not say. */
  readonly decimals: number;
  /** Package name → minor version of each part of the standard that it serves. */
  readonly supportedApis: Readonly<Record<string, number>>;
};

export type RegistryClient = {
  /**
   * Asks for exactly this transfer: with its final inputs, amount, receiver and times. The answer is good for this transfer only.
   * @throws RegistryRetryableError, RegistryPermanentError; asking again is always safe.
   */
  transferFactory(transfer: TransferRecord, signal?: AbortSignal): Promise<TransferFactoryContext>;
  /** What it takes to accept, reject or withdraw an offer. @throws as above; an unknown offer is REGISTRY_STATUS 404. */
  instructionContext(
    instructionId: string,
    choice: 'accept' | 'reject' | 'withdraw',
    signal?: AbortSignal,
  ): Promise<InstructionContext>;
  /** Whose registry it is. Compare with the configured admin. */
  adminId(signal?: AbortSignal): Promise<string>;
  /** All of them, over as many pages as there are, up to 1,000. */
  instruments(signal?: AbortSignal): Promise<readonly RegistryInstrument[]>;
  instrument(id: string, signal?: AbortSignal): Promise<RegistryInstrument>;
};

const DISCLOSED_MAX = 500;
const INSTRUMENTS_MAX = 1_000;
const PAGE_SIZE = 100;
const TEXT_MAX = 1_000;

const contractId = z.string().regex(/^(?:[0-9a-f]{2}){1,255}$/, 'a contract id');
const disclosedContract = z.object({
  // Package id or #name, module, entity.
  templateId: z.string().regex(/^[^:]{1,300}:[^:]{1,300}:[^:]{1,300}$/, 'package:module:entity'),
  contractId,
  createdEventBlob: z.base64().min(1),
  synchronizerId: z.string().min(1).max(300),
});
const choiceContext = z.object({
  choiceContextData: z.object({ values: z.record(z.string(), z.unknown()) }),
  disclosedContracts: z.array(disclosedContract).max(DISCLOSED_MAX),
});
const transferFactory = z.object({
  factoryId: contractId,
  transferKind: z.enum(['self', 'direct', 'offer']),
  choiceContext,
});
const registryInfo = z.object({ adminId: z.string().min(1).max(255) });
const instrument = z.object({
  id: z.string().min(1).max(TEXT_MAX),
  name: z.string().max(TEXT_MAX),
  symbol: z.string().max(TEXT_MAX),
  decimals: z.int().min(0).max(38).default(10),
  supportedApis: z.record(z.string().max(200), z.int().min(0)).default({}),
});
const instrumentPage = z.object({
  instruments: z.array(instrument).max(INSTRUMENTS_MAX),
  nextPageToken: z.string().min(1).nullish(),
});

/** Of one instance. Who reads by a strategy takes `createRegistries`. */
export function createRegistryClient(http: RegistryHttp): RegistryClient {
  return {
    transferFactory: async (transfer, signal) => {
      const body = { choiceArguments: choiceArguments(transfer), excludeDebugFields: true };
      const answer = await http.post('/registry/transfer-instruction/v1/transfer-factory', body, signal);
      const { factoryId, transferKind, choiceContext: context } = parse(transferFactory, answer);
      return { factoryId, transferKind, ...contextOf(context) };
    },
    instructionContext: async (instructionId, choice, signal) => {
      const path = `/registry/transfer-instruction/v1/${encodeURIComponent(instructionId)}/choice-contexts/${choice}`;
      return contextOf(parse(choiceContext, await http.post(path, { meta: {}, excludeDebugFields: true }, signal)));
    },
    adminId: async (signal) => parse(registryInfo, await http.get('/registry/metadata/v1/info', signal)).adminId,
    instruments: async (signal) => {
      const found: RegistryInstrument[] = [];
      let token: string | undefined;
      for (let pages = 0; pages < INSTRUMENTS_MAX; pages += 1) {
        const query = new URLSearchParams({ pageSize: String(PAGE_SIZE), ...(token && { pageToken: token }) });
        const page = parse(instrumentPage, await http.get(`/registry/metadata/v1/instruments?${query}`, signal));
        found.push(...page.instruments);
        if (new Set(found.map(({ id }) => id)).size < found.length) {
          throw retryable('REGISTRY_ANSWER_INVALID', 'A list that names an instrument twice.', {});
        }
        token = page.nextPageToken ?? undefined;
        // A page without entries would let a registry keep us turning pages for ever.
        if (page.instruments.length === 0 || token === undefined || found.length >= INSTRUMENTS_MAX) break;
      }
      return found.slice(0, INSTRUMENTS_MAX);
    },
    instrument: async (id, signal) =>
      parse(instrument, await http.get(`/registry/metadata/v1/instruments/${encodeURIComponent(id)}`, signal)),
  };
}

/** Daml-JSON of `TransferFactory_Transfer`, with the empty context that the registry is asked to fill. */
function choiceArguments({ instrument: instrumentId, ...transfer }: TransferRecord): unknown {
  return {
    expectedAdmin: instrumentId.admin,
    transfer: {
      sender: transfer.sender,
      receiver: transfer.receiver,
      amount: formatAmount(transfer.amount),
      instrumentId,
      requestedAt: formatRecordTime(transfer.requestedAt),
      executeBefore: formatRecordTime(transfer.executeBefore),
      inputHoldingCids: transfer.inputHoldings,
      meta: { values: Object.fromEntries(transfer.meta) },
    },
    extraArgs: { context: { values: {} }, meta: { values: {} } },
  };
}

function contextOf({ choiceContextData, disclosedContracts }: z.infer<typeof choiceContext>): InstructionContext {
  try {
    return {
      choiceContext: readChoiceContext(choiceContextData.values),
      disclosedContracts: eachOnce(disclosedContracts).map((contract) => ({
        templateId: templateIdOf(contract.templateId),
        contractId: contract.contractId,
        createdEventBlob: Uint8Array.from(Buffer.from(contract.createdEventBlob, 'base64')),
        synchronizerId: contract.synchronizerId,
      })),
    };
  } catch (error) {
    if (error instanceof ChoiceContextError) throw retryable('REGISTRY_ANSWER_INVALID', error.message, {}, error);
    throw error;
  }
}

/** The same contract may be named for the factory and for the context; two of one id are a lie that the ledger would refuse. */
function eachOnce(disclosed: readonly z.infer<typeof disclosedContract>[]): z.infer<typeof disclosedContract>[] {
  const byId = new Map<string, z.infer<typeof disclosedContract>>();
  for (const contract of disclosed) {
    const known = byId.get(contract.contractId);
    if (known !== undefined && known.createdEventBlob !== contract.createdEventBlob) {
      throw retryable('REGISTRY_ANSWER_INVALID', 'A contract is disclosed twice, with different contents.', {
        contractId: contract.contractId,
      });
    }
    byId.set(contract.contractId, contract);
  }
  return [...byId.values()];
}

function templateIdOf(text: string): Identifier {
  const [packageId = '', moduleName = '', entityName = ''] = text.split(':');
  return { packageId, moduleName, entityName };
}

function parse<T>(schema: z.ZodType<T>, answer: unknown): T {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  throw retryable('REGISTRY_ANSWER_INVALID', z.prettifyError(result.error), {}, result.error);
}
