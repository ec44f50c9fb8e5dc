/**
 * What a Scan answers beside the registry of Canton Coin, and what a validator's Scan proxy makes of it. Paths and bodies are those of Splice's OpenAPI documents (scan.yaml, scan-proxy.yaml).
 */
import { z } from 'zod';
import type { Contract } from '../daml/contract.ts';
import { damlJsonOf, isoOfMicros } from '../daml/daml-json.ts';
import { keyOf, partyField, party as partyValue, record, recordValue, timeField } from '../daml/value.ts';
import { contractId } from '../ledger/ids.ts';
import { createdEventBlob } from '../ledger/projection.ts';
import { answerRegistry, type RegistryContext } from '../registry/registry-answers.ts';
import { RegistryRefusal } from '../registry/registry-refusal.ts';
import type { Ask } from '../registry/registry-server.ts';
import type { TrafficStatus } from '../submission/traffic.ts';

export type ScanContext = RegistryContext & {
  /** Contracts that the party is a stakeholder of, in order of creation. */
  readonly activeOf: (stakeholder: string) => Iterable<Contract>;
  readonly nowMicros: () => bigint;
  /** Of the participant with that id; null: there is none, or its traffic is not metered. */
  readonly trafficOf: (participantId: string) => TrafficStatus | null;
};

const SCAN = '/api/scan';
const PROXY = '/api/validator/v0/scan-proxy';
const VOTING_THRESHOLD = 3; // Of four super validators.

/** At a Scan: the registry of Canton Coin, below `/registry` and below `/api/scan/registry`, and Scan's own questions below `/api/scan`. @throws RegistryRefusal. */
export function answerScan(context: ScanContext, { method, url, body }: Ask): unknown {
  const { pathname } = url;
  if (!pathname.startsWith(`${SCAN}/`)) return answerRegistry(context, { method, url, body });
  const path = pathname.slice(SCAN.length);
  if (path.startsWith('/registry/')) return answerRegistry(context, { method, url: below(url, path), body });
  switch (`${method} ${path}`) {
    case 'GET /v0/dso-party-id':
      return { dso_party_id: context.admin };
    case 'GET /v0/dso':
      return dsoInfo(context);
    case 'POST /v0/amulet-rules':
      return { amulet_rules_update: withState(context, only(context, 'AmuletRules')) };
    case 'POST /v0/open-and-issuing-mining-rounds': {
      const cached = roundsRequest.safeParse(body);
      if (!cached.success) throw new RegistryRefusal(400, `The request content was malformed: ${cached.error.message}`);
      const known = new Set(cached.data.cached_open_mining_round_contract_ids);
      const rounds = openRounds(context).map(({ contractId: id, ...contract }) => [
        id,
        known.has(id) ? { domain_id: context.synchronizerId } : withState(context, { contractId: id, ...contract }),
      ]);
      return {
        time_to_live_in_microseconds: 600_000_000,
        open_mining_rounds: Object.fromEntries(rounds),
        issuing_mining_rounds: {},
      };
    }
    default:
      return trafficAt(context, method, path, '/v0') ?? preapprovalAt(context, method, path, '/v0');
  }
}

/** At a validator: what its Scan proxy answers. @param isKnown whether the token is one that the validator accepts. @throws RegistryRefusal. */
export function answerScanProxy(
  context: ScanContext,
  isKnown: (token: string | undefined) => boolean,
  ask: Ask,
): unknown {
  const { method, url, body, token } = ask;
  if (!url.pathname.startsWith(`${PROXY}/`)) throw noRoute(method, url.pathname);
  if (!isKnown(token)) throw new RegistryRefusal(401, 'The supplied authentication is invalid');
  const path = url.pathname.slice(PROXY.length);
  if (path.startsWith('/registry/')) return answerRegistry(context, { method, url: below(url, path), body });
  switch (`${method} ${path}`) {
    case 'GET /dso-party-id':
      return { dso_party_id: context.admin };
    case 'GET /dso':
      return dsoInfo(context);
    case 'GET /amulet-rules':
      return { amulet_rules: withState(context, only(context, 'AmuletRules')) };
    case 'GET /open-and-issuing-mining-rounds':
      return {
        open_mining_rounds: openRounds(context).map((contract) => withState(context, contract)),
        issuing_mining_rounds: [],
      };
    default:
      return trafficAt(context, method, path, '') ?? preapprovalAt(context, method, path, '');
  }
}

const roundsRequest = z.object({
  cached_open_mining_round_contract_ids: z.array(z.string()),
  cached_issuing_round_contract_ids: z.array(z.string()),
});

/** Of extra traffic: the base rate is the sequencer's affair. @returns null for another question. */
function trafficAt(context: ScanContext, method: string, path: string, prefix: string): unknown {
  const [, domain = '', member = ''] =
    /^\/domains\/([^/]+)\/members\/([^/]+)\/traffic-status$/.exec(path.slice(prefix.length)) ?? [];
  if (method !== 'GET' || !path.startsWith(prefix) || member === '') return null;
  const id = decodeURIComponent(member);
  if (!/^(PAR|MED)::[^:]+::/.test(id)) throw new RegistryRefusal(400, `Could not decode member ID: ${id}`);
  const isHere = decodeURIComponent(domain) === context.synchronizerId;
  const status = isHere ? context.trafficOf(id.slice('PAR::'.length)) : null;
  if (status === null) throw new RegistryRefusal(404, `No traffic state found for member: ${id}`);
  return {
    traffic_status: {
      actual: { total_consumed: Number(status.totalConsumed), total_limit: Number(status.totalLimit) },
      target: { total_purchased: Number(status.totalLimit) },
    },
  };
}

/** The newest one that has not expired. */
function preapprovalAt(context: ScanContext, method: string, path: string, prefix: string): unknown {
  const start = `${prefix}/transfer-preapprovals/by-party/`;
  if (method !== 'GET' || !path.startsWith(start)) throw noRoute(method, path);
  const party = decodeURIComponent(path.slice(start.length));
  const found = [...context.activeOf(party)].filter(
    ({ templateId, createArguments }) =>
      templateId.entityName === 'TransferPreapproval' &&
      partyField(createArguments, 'receiver') === party &&
      timeField(createArguments, 'expiresAt') > context.nowMicros(),
  );
  const newest = found.at(-1);
  if (newest === undefined) throw new RegistryRefusal(404, `No TransferPreapproval found for party: ${party}`);
  return { transfer_preapproval: withState(context, newest) };
}

function dsoInfo(context: ScanContext): unknown {
  const rules = dsoRules(context);
  const [, ...rest] = openRounds(context);
  const latest = rest.at(-1) ?? only(context, 'OpenMiningRound');
  return {
    sv_user: 'sv1',
    sv_party_id: context.admin,
    dso_party_id: context.admin,
    voting_threshold: VOTING_THRESHOLD,
    latest_mining_round: withState(context, latest),
    amulet_rules: withState(context, only(context, 'AmuletRules')),
    dso_rules: withState(context, rules),
    sv_node_states: [],
    initial_round: '0',
  };
}

/** The simulated ledger has no governance, so this contract is nowhere but here. */
function dsoRules({ admin }: ScanContext): Contract {
  const templateId = { packageId: '#splice-dso-governance', moduleName: 'Splice.DsoRules', entityName: 'DsoRules' };
  return {
    contractId: contractId('0'.repeat(64), 0),
    templateId,
    packageName: 'splice-dso-governance',
    createArguments: record(templateId, { dso: partyValue(admin) }),
    signatories: [admin],
    observers: [],
    createdAtMicros: 0n,
    interfaces: [],
  };
}

function openRounds(context: ScanContext): readonly Contract[] {
  return [...context.activeOf(context.admin)].filter(({ templateId }) => templateId.entityName === 'OpenMiningRound');
}

function only(context: ScanContext, entityName: string): Contract {
  for (const contract of context.activeOf(context.admin)) {
    if (contract.templateId.entityName === entityName) return contract;
  }
  throw new RegistryRefusal(404, `No ${entityName} found`);
}

function withState({ synchronizerId }: ScanContext, contract: Contract): unknown {
  return {
    contract: {
      template_id: keyOf(contract.templateId),
      contract_id: contract.contractId,
      payload: damlJsonOf(recordValue(contract.createArguments)),
      created_event_blob: Buffer.from(createdEventBlob(contract)).toString('base64'),
      created_at: isoOfMicros(contract.createdAtMicros),
    },
    domain_id: synchronizerId,
  };
}

function below(url: URL, path: string): URL {
  const changed = new URL(url);
  changed.pathname = path;
  return changed;
}

function noRoute(method: string, path: string): RegistryRefusal {
  return new RegistryRefusal(404, `The requested resource could not be found: ${method} ${path}`);
}
