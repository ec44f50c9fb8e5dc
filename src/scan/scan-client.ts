/**
 * Client of a Scan, or of the Scan proxy of our validator: who the DSO is, its rules and rounds, which party takes Canton Coin without being asked, and what traffic a participant has. Nothing is believed beyond its form.
 * @see Splice OpenAPI documents: scan.yaml, scan-proxy.yaml, common-internal.yaml.
 */
import { z } from 'zod';
import type { Micros } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import { parseRecordTime } from '../env/record-time.ts';
import type { DisclosedContract } from '../gen/com/daml/ledger/api/v2/commands.ts';
import { type RegistryHttp, retryable } from './registry-http.ts';

/** A contract that Scan shows, and what it takes to use it in a transaction without seeing it on the ledger. */
export type ScanContract = {
  readonly contractId: string;
  /** `package:module:entity`. */
  readonly templateId: string;
  readonly createdAt: Micros;
  /** Null while it moves between synchronizers. */
  readonly synchronizerId: string | null;
  /** Daml-JSON, of any shape. */
  readonly payload: unknown;
  readonly createdEventBlob: Uint8Array;
};

/** The standing consent of `receiver` to be paid Canton Coin. Active when Scan looked; it may be expired. */
export type TransferPreapproval = {
  readonly contract: ScanContract;
  readonly dso: string;
  readonly receiver: string;
  readonly provider: string;
  readonly validFrom: Micros;
  readonly lastRenewedAt: Micros;
  readonly expiresAt: Micros;
};

export type DsoInfo = {
  readonly dsoParty: string;
  readonly votingThreshold: number;
  readonly amuletRules: ScanContract;
  readonly dsoRules: ScanContract;
  readonly latestMiningRound: ScanContract;
};

export type MiningRounds = { readonly open: readonly ScanContract[]; readonly issuing: readonly ScanContract[] };

/** Bytes of extra traffic of a participant, ever. What the base rate gives is not in it, and is used first. */
export type MemberTraffic = { readonly totalConsumed: bigint; readonly totalLimit: bigint };

export type ScanClient = {
  /** The admin of Canton Coin. @throws RegistryRetryableError, RegistryPermanentError; here and below: asking again is always safe. */
  dsoParty(signal?: AbortSignal): Promise<string>;
  dso(signal?: AbortSignal): Promise<DsoInfo>;
  amuletRules(signal?: AbortSignal): Promise<ScanContract>;
  /** Oldest first. */
  miningRounds(signal?: AbortSignal): Promise<MiningRounds>;
  /** @returns null when Scan says that there is none; it may be behind the ledger by some seconds. */
  transferPreapproval(party: string, signal?: AbortSignal): Promise<TransferPreapproval | null>;
  /** What the sequencer counts for a participant. @returns null where Scan does not know it, or does not serve the question. */
  memberTraffic(
    member: { readonly synchronizerId: string; readonly participantId: string },
    signal?: AbortSignal,
  ): Promise<MemberTraffic | null>;
};

/** How the same questions are put: a Scan wants what is cached in a POST, the proxy keeps the cache itself. */
export type ScanKind = 'scan' | 'proxy';

const ROUNDS_MAX = 100;

const party = z.string().min(1).max(300);
const contract = z.object({
  template_id: z.string().regex(/^[^:]{1,300}:[^:]{1,300}:[^:]{1,300}$/, 'package:module:entity'),
  contract_id: z.string().regex(/^(?:[0-9a-f]{2}){1,255}$/, 'a contract id'),
  payload: z.unknown(),
  created_event_blob: z.base64(),
  created_at: z.string(),
});
const contractWithState = z.object({ contract, domain_id: z.string().max(300).nullish() });
const dsoParty = z.object({ dso_party_id: party });
const dso = z.object({
  dso_party_id: party,
  voting_threshold: z.int().min(1),
  amulet_rules: contractWithState,
  dso_rules: contractWithState,
  latest_mining_round: contractWithState,
});
const roundList = z.array(contractWithState).max(ROUNDS_MAX);
const roundMap = z.record(z.string(), contractWithState);
const proxyRounds = z.object({ open_mining_rounds: roundList, issuing_mining_rounds: roundList });
const scanRounds = z.object({ open_mining_rounds: roundMap, issuing_mining_rounds: roundMap });
const proxyRules = z.object({ amulet_rules: contractWithState });
const scanRules = z.object({ amulet_rules_update: contractWithState });
const preapproval = z.object({ transfer_preapproval: contractWithState });
const preapprovalPayload = z.object({
  dso: party,
  receiver: party,
  provider: party,
  validFrom: z.string(),
  lastRenewedAt: z.string(),
  expiresAt: z.string(),
});

const byteCount = z.int().min(0).transform(BigInt);
const trafficStatus = z.object({
  traffic_status: z.object({ actual: z.object({ total_consumed: byteCount, total_limit: byteCount }) }),
});

/** @param http its base is the Scan's (`https://scan.example/api/scan`), or the validator's (`https://validator.example/api/validator`) for the proxy. */
export function createScanClient(kind: ScanKind, http: RegistryHttp): ScanClient {
  const base = kind === 'proxy' ? '/v0/scan-proxy' : '/v0';
  return {
    dsoParty: async (signal) => parse(dsoParty, await http.get(`${base}/dso-party-id`, signal)).dso_party_id,
    dso: async (signal) => {
      const answer = parse(dso, await http.get(`${base}/dso`, signal));
      return {
        dsoParty: answer.dso_party_id,
        votingThreshold: answer.voting_threshold,
        amuletRules: contractOf(answer.amulet_rules),
        dsoRules: contractOf(answer.dso_rules),
        latestMiningRound: contractOf(answer.latest_mining_round),
      };
    },
    amuletRules: async (signal) =>
      kind === 'proxy'
        ? contractOf(parse(proxyRules, await http.get(`${base}/amulet-rules`, signal)).amulet_rules)
        : contractOf(parse(scanRules, await http.post(`${base}/amulet-rules`, {}, signal)).amulet_rules_update),
    miningRounds: async (signal) => {
      const path = `${base}/open-and-issuing-mining-rounds`;
      if (kind === 'proxy') {
        const answer = parse(proxyRounds, await http.get(path, signal));
        return { open: inOrder(answer.open_mining_rounds), issuing: inOrder(answer.issuing_mining_rounds) };
      }
      const nothingCached = { cached_open_mining_round_contract_ids: [], cached_issuing_round_contract_ids: [] };
      const answer = parse(scanRounds, await http.post(path, nothingCached, signal));
      return {
        open: inOrder(Object.values(answer.open_mining_rounds)),
        issuing: inOrder(Object.values(answer.issuing_mining_rounds)),
      };
    },
    transferPreapproval: async (receiver, signal) => {
      const path = `${base}/transfer-preapprovals/by-party/${encodeURIComponent(receiver)}`;
      try {
        return preapprovalOf(receiver, await http.get(path, signal));
      } catch (error) {
        if (isNone(error)) return null;
        throw error;
      }
    },
    memberTraffic: async ({ synchronizerId, participantId }, signal) => {
      const member = encodeURIComponent(`PAR::${participantId}`);
      const path = `${base}/domains/${encodeURIComponent(synchronizerId)}/members/${member}/traffic-status`;
      try {
        const { actual } = parse(trafficStatus, await http.get(path, signal)).traffic_status;
        return { totalConsumed: actual.total_consumed, totalLimit: actual.total_limit };
      } catch (error) {
        if (isNone(error)) return null;
        throw error;
      }
    },
  };
}

function isNone(error: unknown): boolean {
  return error instanceof RetryableError && error.code === 'REGISTRY_STATUS' && error.facts['status'] === 404;
}

function preapprovalOf(receiver: string, answer: unknown): TransferPreapproval {
  const found = contractOf(parse(preapproval, answer).transfer_preapproval);
  const payload = parse(preapprovalPayload, found.payload);
  if (payload.receiver !== receiver) {
    throw retryable('REGISTRY_ANSWER_INVALID', 'The preapproval of another party.', { receiver });
  }
  return {
    contract: found,
    dso: payload.dso,
    receiver,
    provider: payload.provider,
    validFrom: timeOf(payload.validFrom),
    lastRenewedAt: timeOf(payload.lastRenewedAt),
    expiresAt: timeOf(payload.expiresAt),
  };
}

function inOrder(contracts: readonly z.infer<typeof contractWithState>[]): readonly ScanContract[] {
  return contracts.slice(0, ROUNDS_MAX).map(contractOf).toSorted(byAge);
}

function byAge(left: ScanContract, right: ScanContract): number {
  if (left.createdAt !== right.createdAt) return left.createdAt < right.createdAt ? -1 : 1;
  return left.contractId < right.contractId ? -1 : 1;
}

function contractOf({ contract: found, domain_id }: z.infer<typeof contractWithState>): ScanContract {
  return {
    contractId: found.contract_id,
    templateId: found.template_id,
    createdAt: timeOf(found.created_at),
    synchronizerId: domain_id ?? null,
    payload: found.payload,
    createdEventBlob: Uint8Array.from(Buffer.from(found.created_event_blob, 'base64')),
  };
}

/** For a submission. @returns null while the contract moves between synchronizers. */
export function disclosedContractOf(contract: ScanContract): DisclosedContract | null {
  if (contract.synchronizerId === null) return null;
  const [packageId = '', moduleName = '', entityName = ''] = contract.templateId.split(':');
  return {
    templateId: { packageId, moduleName, entityName },
    contractId: contract.contractId,
    createdEventBlob: contract.createdEventBlob,
    synchronizerId: contract.synchronizerId,
  };
}

function timeOf(text: string): Micros {
  try {
    return parseRecordTime(text);
  } catch (cause) {
    throw retryable('REGISTRY_ANSWER_INVALID', 'Not a time.', { text: text.slice(0, 40) }, cause);
  }
}

function parse<T>(schema: z.ZodType<T>, answer: unknown): T {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  throw retryable('REGISTRY_ANSWER_INVALID', z.prettifyError(result.error), {}, result.error);
}
