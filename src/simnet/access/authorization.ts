/**
 * The Ledger API behind a check of tokens and rights. Which right a call needs is as in Canton 3.5: reading as each party that a filter
 * names, executing as each submitter, administration for the services under `admin`, and no more than a valid token for what is nobody's
 * secret. Streams are checked again before each element and when rights change.
 */
import { PreparedTransaction } from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { EventFormat, UpdateFormat } from '../../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import { cantonError } from '../ledger/canton-error.ts';
import type { CallOptions, LedgerApi } from '../ledger/ledger-api.ts';
import type { TokenClaims } from './bearer-tokens.ts';
import { permissionDenied, unauthenticated } from './refusals.ts';
import type { Rights, Users } from './users.ts';

type Need = {
  readonly readAs?: readonly string[];
  readonly executeAs?: readonly string[];
  readonly isAdmin?: boolean;
  readonly readAsAnyParty?: boolean;
  /** As the request has it; empty: whoever calls. */
  readonly userId?: string;
};

export function withAuthorization(api: LedgerApi, users: Users): LedgerApi {
  /** @returns undefined while no tokens are demanded. */
  const admit = (options: CallOptions | undefined, need: Need): TokenClaims | undefined => {
    if (!users.isDemanded()) return undefined;
    const claims = users.claimsOf(options?.token);
    const rights = claims && users.rightsOf(claims.sub);
    if (claims === undefined || rights === undefined) throw unauthenticated();
    const { userId = '' } = need;
    if (!allows(rights, need) || (userId !== '' && userId !== claims.sub)) throw permissionDenied();
    return claims;
  };
  const unary =
    <Request, Response>(
      call: (request: Request, options?: CallOptions) => Promise<Response>,
      needOf: (request: Request) => Need,
    ) =>
    async (request: Request, options?: CallOptions): Promise<Response> => {
      admit(options, needOf(request));
      return await call(request, options);
    };
  const plain =
    <Response>(call: (options?: CallOptions) => Promise<Response>, need: Need = {}) =>
    async (options?: CallOptions): Promise<Response> => {
      admit(options, need);
      return await call(options);
    };
  const checkEach = async function* <Response>(
    claims: TokenClaims,
    start: (signal: AbortSignal) => AsyncIterable<Response>,
    client: AbortSignal | undefined,
  ): AsyncGenerator<Response, void, undefined> {
    const rightsChanged = new AbortController();
    const unwatch = users.watch(claims.sub, () => rightsChanged.abort());
    const signals = [rightsChanged.signal, ...(client === undefined ? [] : [client])];
    try {
      for await (const response of start(AbortSignal.any(signals))) {
        if (rightsChanged.signal.aborted) break;
        if (users.isExpired(claims)) throw tokenExpired();
        yield response;
      }
      if (rightsChanged.signal.aborted) throw staleStream();
    } finally {
      unwatch();
    }
  };
  const streaming =
    <Request, Response>(
      call: (request: Request, options?: CallOptions) => AsyncIterable<Response>,
      needOf: (request: Request) => Need,
    ) =>
    (request: Request, options?: CallOptions): AsyncIterable<Response> => {
      let claims: TokenClaims | undefined;
      try {
        claims = admit(options, needOf(request));
      } catch (error) {
        return failing(error);
      }
      if (claims === undefined) return call(request, options);
      return checkEach(claims, (signal) => call(request, { ...options, signal }), options?.signal);
    };

  const readUpdates = ({ updateFormat }: { readonly updateFormat: UpdateFormat | undefined }): Need =>
    together(
      needOfFormat(updateFormat?.includeTransactions?.eventFormat),
      needOfFormat(updateFormat?.includeReassignments),
    );
  const readEvents = ({ eventFormat }: { readonly eventFormat: EventFormat | undefined }): Need =>
    needOfFormat(eventFormat);
  const submit = (request: { readonly userId: string; readonly preparedTransaction: Uint8Array }): Need => ({
    executeAs: submittersOf(request.preparedTransaction),
    userId: request.userId,
  });

  return {
    prepareSubmission: unary(api.prepareSubmission, ({ userId, actAs, readAs }) => ({
      userId,
      readAs: [...actAs, ...readAs],
    })),
    executeSubmission: unary(api.executeSubmission, submit),
    executeSubmissionAndWait: unary(api.executeSubmissionAndWait, submit),
    getPreferredPackages: unary(api.getPreferredPackages, () => ({})),
    completionStream: streaming(api.completionStream, ({ userId, parties }) => ({ userId, readAs: parties })),
    getCompletions: streaming(api.getCompletions, ({ parties }) =>
      parties.length === 0 ? { readAsAnyParty: true } : { readAs: parties },
    ),
    getUpdates: streaming(api.getUpdates, readUpdates),
    getUpdatesPage: unary(api.getUpdatesPage, readUpdates),
    getUpdateByOffset: unary(api.getUpdateByOffset, readUpdates),
    getUpdateById: unary(api.getUpdateById, readUpdates),
    getLedgerEnd: plain(api.getLedgerEnd),
    getActiveContracts: streaming(api.getActiveContracts, readEvents),
    getActiveContractsPage: unary(api.getActiveContractsPage, readEvents),
    getLatestPrunedOffsets: plain(api.getLatestPrunedOffsets),
    getConnectedSynchronizers: unary(api.getConnectedSynchronizers, ({ party }) =>
      party === '' ? {} : { readAs: [party] },
    ),
    getEventsByContractId: unary(api.getEventsByContractId, readEvents),
    getLedgerApiVersion: plain(api.getLedgerApiVersion),
    listPackages: plain(api.listPackages),
    getPackageStatus: unary(api.getPackageStatus, () => ({})),
    getParticipantId: plain(api.getParticipantId, { isAdmin: true }),
    getParties: unary(api.getParties, () => ({ isAdmin: true })),
    listKnownParties: plain(api.listKnownParties, { isAdmin: true }),
  };
}

/** A stream that fails when it is read, as all refusals of streams do. */
function failing(error: unknown): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
}

function allows(rights: Rights, { readAs = [], executeAs = [], isAdmin, readAsAnyParty }: Need): boolean {
  const acts = new Set(rights.actAs);
  const reads = new Set([...(rights.readAs ?? []), ...acts]);
  return (
    (!isAdmin || rights.isAdmin === true) &&
    (!readAsAnyParty || rights.readAsAnyParty === true) &&
    executeAs.every((party) => acts.has(party) || rights.executeAs?.includes(party) === true) &&
    readAs.every((party) => reads.has(party) || rights.readAsAnyParty === true)
  );
}

function needOfFormat(format: EventFormat | undefined): Need {
  if (format === undefined) return {};
  return {
    readAs: Object.keys(format.filtersByParty),
    readAsAnyParty: format.filtersForAnyParty !== undefined,
  };
}

function together(left: Need, right: Need): Need {
  return {
    readAs: [...(left.readAs ?? []), ...(right.readAs ?? [])],
    readAsAnyParty: left.readAsAnyParty === true || right.readAsAnyParty === true,
  };
}

/** None for bytes that are no prepared transaction: refusing those is the business of execute. */
function submittersOf(prepared: Uint8Array): readonly string[] {
  try {
    return PreparedTransaction.decode(prepared).metadata?.submitterInfo?.actAs ?? [];
  } catch {
    return [];
  }
}

function tokenExpired(): Error {
  return cantonError({ code: 'ACCESS_TOKEN_EXPIRED', category: 'contention', text: 'Claims were valid until expired' });
}

function staleStream(): Error {
  return cantonError({
    code: 'STALE_STREAM_AUTHORIZATION',
    category: 'contention',
    text: 'Stale stream authorization. Retry quickly.',
    definiteAnswer: false,
    retryAfterMs: 0,
  });
}
