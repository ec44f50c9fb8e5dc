/**
 * A look ahead at a withdrawal that nobody has asked for yet: would it be taken, would it be paid, how, and when. It changes nothing and promises nothing: everything is looked at again when it is asked
 * for, and again before anything is signed.
 *
 * The one read of the API that asks others than the database; see docs/decisions/0006 for why, and what bounds it.
 */
import type { ConfiguredBooks } from '../books/books-mode.ts';
import type { Database } from '../db/connection.ts';
import { type Clock, type Micros, millisToMicros } from '../env/clock.ts';
import type { TransferRecord } from '../tokens/transfer-record.ts';
import type { AskOutside, OutsideFacts } from './outside-facts.ts';
import {
  type Clocks,
  firm,
  fundsCheck,
  fundsOf,
  ledgerCheck,
  notReached,
  policyCheck,
  preapprovalCheck,
  preapprovalOf,
  receiverCheck,
  requestCheck,
  standstillCheck,
  trafficCheck,
  transferKindCheck,
} from './preflight-checks.ts';
import { type Check, outlookOf, type PreflightReport, type PreflightRequest } from './preflight-report.ts';
import { readStoredFacts, type StoredFacts } from './stored-facts.ts';

export type Preflight = {
  /** @throws RetryableError when the database is away. Whoever else does not answer is told of in the report. */
  look(request: PreflightRequest): Promise<PreflightReport>;
};

export type PreflightOptions = {
  readonly db: Database;
  readonly network: string;
  readonly clock: Clock;
  readonly askOutside: AskOutside;
  readonly ttlMs: number;
  readonly recordTimeAgeMsMax: number;
  readonly recordTimeAheadMsMax: number;
  /** Bytes; 0 when left out. */
  readonly trafficReserve?: number;
  /** Who this process was told keeps the balances of customers; `external` when left out. */
  readonly books?: ConfiguredBooks;
};

const REQUESTED_BEFORE: Micros = 60_000_000n; // As a transfer that is really made: requested in the past, by the ledger's clock.

export function createPreflight({
  db,
  network,
  clock,
  askOutside,
  ttlMs,
  recordTimeAgeMsMax,
  recordTimeAheadMsMax,
  trafficReserve = 0,
  books = 'external',
}: PreflightOptions): Preflight {
  return {
    look: async (request) => {
      const clocks: Clocks = {
        nowMicros: clock.nowMicros(),
        recordTimeAgeMax: millisToMicros(recordTimeAgeMsMax),
        recordTimeAheadMax: millisToMicros(recordTimeAheadMsMax),
        ttl: millisToMicros(ttlMs),
        trafficReserve: BigInt(trafficReserve),
      };
      const stored = await readStoredFacts(db, network, request, { nowMicros: clocks.nowMicros, books });
      const transfer = transferOf(request, stored, clocks);
      const outside =
        transfer === null
          ? NOT_REACHED
          : await askOutside({
              transfer,
              packages: stored.token?.packages ?? [],
              hasPreapprovals: stored.token?.implementation === 'SPLICE_AMULET',
              customer: request.isForCustomer === true ? request.account : null,
            });
      return reportOf(request, stored, outside, clocks);
    },
  };
}

const UNASKED = { kind: 'NOT_ASKED', why: 'The request would be refused before.' } as const;
const NOT_REACHED: OutsideFacts = { transferKind: UNASKED, preapproval: UNASKED, receiver: UNASKED };

/** The transfer that would be made. Null: none would, so nobody is asked about it. */
function transferOf(request: PreflightRequest, { paying }: StoredFacts, clocks: Clocks): TransferRecord | null {
  if (paying === null) return null;
  const time = paying.recordTime ?? clocks.nowMicros;
  return {
    sender: paying.party,
    receiver: request.receiver,
    amount: request.amount,
    instrument: request.instrument,
    requestedAt: time - REQUESTED_BEFORE,
    executeBefore: time + 2n * clocks.ttl,
    inputHoldings: paying.inputs,
    meta: new Map(),
  };
}

/** Pure. */
function reportOf(
  request: PreflightRequest,
  stored: StoredFacts,
  outside: OutsideFacts,
  clocks: Clocks,
): PreflightReport {
  const ledger = ledgerCheck(stored, clocks);
  const recordTime = stored.paying?.recordTime ?? null;
  const target = recordTime !== null && ledger.outcome === 'PASSED' ? recordTime + clocks.ttl : null;
  const until = target ?? clocks.nowMicros + clocks.ttl;
  const checks: readonly Check[] = [
    requestCheck(stored, clocks),
    policyCheck(stored, clocks),
    stored.refusal === null ? standstillCheck(stored, clocks) : notReached('STANDSTILL'),
    ledger,
    receiverCheck(outside),
    transferKindCheck(stored, outside),
    preapprovalCheck(stored, outside, until),
    fundsCheck(request.amount, stored, clocks),
    feeCheck(stored, clocks),
    trafficCheck(stored, clocks),
  ];
  const kind = outside.transferKind.kind === 'SAID' ? outside.transferKind.value : null;
  return {
    outlook: outlookOf(checks),
    checks,
    verdict: stored.verdict,
    transferKind: kind === 'direct' ? 'DIRECT' : kind === 'offer' ? 'OFFER' : null,
    preapproval: preapprovalOf(outside, until),
    fee: stored.refusal === null ? '0' : null,
    returnFee: stored.refusal === null ? (stored.token?.returnFee ?? '0') : null,
    funds: fundsOf(request.amount, stored),
    recordTime,
    target,
  };
}

/** Canton Coin has had no fee on transfers since its 0.1.14 (CIP-78), and no registry of the standard tells of one; what a transfer really cost is booked from what the ledger shows. */
function feeCheck({ refusal }: StoredFacts, { nowMicros }: Clocks): Check {
  if (refusal !== null) return notReached('FEE');
  return firm(
    'FEE',
    { outcome: 'PASSED', code: null, detail: 'The customer pays the amount and nothing beside it.' },
    nowMicros,
  );
}
