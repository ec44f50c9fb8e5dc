/** From what was found out to what it means for a withdrawal that nobody has asked for yet. Pure. */
import type { Micros } from '../env/clock.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { type Amount, parseAmount } from '../tokens/amount.ts';
import { HOURS_LEFT_MIN, trafficHealthOf } from '../treasury/traffic-health.ts';
import type { OutsideFacts, Said } from './outside-facts.ts';
import type { Check, CheckKind, CheckSource, ReceiverPreapproval, TreasuryFunds } from './preflight-report.ts';
import type { StoredFacts } from './stored-facts.ts';

export type Clocks = {
  readonly nowMicros: Micros;
  /** How old the last record time may be where an attempt is opened. */
  readonly recordTimeAgeMax: Micros;
  /** … and how far ahead of our clock. */
  readonly recordTimeAheadMax: Micros;
  /** How long after the record time an attempt may commit. */
  readonly ttl: Micros;
  /** Bytes of extra traffic below which nothing is submitted. */
  readonly trafficReserve: bigint;
};

type Answer = Pick<Check, 'outcome' | 'code' | 'detail'>;

const passed = (detail: string): Answer => ({ outcome: 'PASSED', code: null, detail });
const waits = (code: string, detail: string): Answer => ({ outcome: 'WAITS', code, detail });
const refused = (code: string, detail: string): Answer => ({ outcome: 'REFUSED', code, detail });
const unknown = (code: string, detail: string): Answer => ({ outcome: 'UNKNOWN', code, detail });

/** Decided by our own rows. */
export function firm(kind: CheckKind, answer: Answer, asOf: Micros): Check {
  return { kind, ...answer, source: 'DATABASE', certainty: 'FIRM', asOf };
}

/** Decided by what somebody else said, or did not. */
function by<T>(kind: CheckKind, source: CheckSource, said: Said<T>, answer: (value: T) => Answer): Check {
  switch (said.kind) {
    case 'SAID':
      return { kind, ...answer(said.value), source, certainty: 'LIKELY', asOf: said.at };
    case 'SILENT':
      return { kind, ...unknown(said.code, said.why), source, certainty: 'NONE', asOf: null };
    case 'NOT_ASKED':
      return { kind, outcome: 'NOT_ASKED', code: null, detail: said.why, source, certainty: 'NONE', asOf: null };
  }
}

export function requestCheck({ refusal, paying }: StoredFacts, { nowMicros }: Clocks): Check {
  if (refusal !== null) return firm('REQUEST', refused(refusal.code, refusal.message), nowMicros);
  if (paying?.isRestoring === true) {
    const detail =
      'The database was put back, and what it lost may still be paid: nothing is taken until that is over.';
    return firm('REQUEST', waits('DB_RESTORED', detail), nowMicros);
  }
  return firm('REQUEST', passed('It would be taken.'), nowMicros);
}

/** What a treasury that does not exist cannot be asked for. */
export function notReached(kind: CheckKind): Check {
  const detail = 'The request would be refused before.';
  return { kind, outcome: 'NOT_ASKED', code: null, detail, source: 'DATABASE', certainty: 'NONE', asOf: null };
}

export function policyCheck({ verdict }: StoredFacts, { nowMicros }: Clocks): Check {
  if (verdict === null) return notReached('POLICY');
  const why = verdict.reasons.map(({ rule, text }) => `${rule}: ${text}.`).join(' ');
  switch (verdict.kind) {
    case 'ALLOW':
      return firm('POLICY', passed(why), nowMicros);
    case 'NEEDS':
      return firm('POLICY', waits(verdict.approvalsNeeded > 0 ? 'APPROVAL' : 'SCREENING', why), nowMicros);
    case 'DENY':
      return firm('POLICY', refused('POLICY_DENIED', why), nowMicros);
  }
}

export function standstillCheck({ paying, token }: StoredFacts, { nowMicros }: Clocks): Check {
  if (paying?.isHalted === true) {
    return firm('STANDSTILL', waits('HALT', 'A kill switch covers it: nothing of it is signed.'), nowMicros);
  }
  if (paying?.isFrozen === true) {
    return firm('STANDSTILL', waits('FREEZE', 'A freeze covers it: somebody has to look first.'), nowMicros);
  }
  if (token !== null && token.registryDiffers.length > 0) {
    const detail = 'Its registry does not say what was pinned when it was onboarded.';
    return firm('STANDSTILL', waits('POLICY', detail), nowMicros);
  }
  return firm('STANDSTILL', passed('Nothing is halted or frozen that it needs.'), nowMicros);
}

export function ledgerCheck(
  { paying }: StoredFacts,
  { nowMicros, recordTimeAgeMax, recordTimeAheadMax }: Clocks,
): Check {
  if (paying === null) return notReached('LEDGER');
  const { isStreaming, recordTime } = paying;
  if (!isStreaming || recordTime === null) {
    return firm('LEDGER', waits('LEDGER', 'The history of the ledger is not being read.'), nowMicros);
  }
  const distance = nowMicros - recordTime;
  const isFar = distance > recordTimeAgeMax || distance < -recordTimeAheadMax;
  const known = `The ledger is known up to ${formatRecordTime(recordTime)}.`;
  return firm('LEDGER', isFar ? waits('LEDGER', `${known} That is too far from now.`) : passed(known), nowMicros);
}

export function receiverCheck({ receiver }: OutsideFacts): Check {
  return by('RECEIVER', 'PARTICIPANT', receiver, (found) =>
    found.kind === 'REACHABLE'
      ? passed('A participant that knows the token hosts the receiver.')
      : refused('RECEIVER_UNREACHABLE', found.detail),
  );
}

export function transferKindCheck({ token }: StoredFacts, { transferKind }: OutsideFacts): Check {
  return by('TRANSFER_KIND', 'REGISTRY', transferKind, (kind) => {
    switch (kind) {
      case 'direct':
        return token?.paysDirect === false
          ? refused('OFFERS_ONLY', 'The token is paid by offers alone, and this receiver takes no offer.')
          : passed('It would be a direct transfer: paid at once.');
      case 'offer':
        return token?.paysOffers === true
          ? passed('It would be an offer, which the receiver has to accept.')
          : refused(
              'RECEIVER_NOT_PREAPPROVED',
              'The receiver takes this instrument only as an offer, and the token’s policy does not allow offers.',
            );
      case 'self':
        return refused('RECEIVER_INVALID', 'It would be a transfer to ourselves.');
    }
  });
}

/** @param until the last moment at which an attempt that opened now could pay. */
export function preapprovalOf({ preapproval }: OutsideFacts, until: Micros): ReceiverPreapproval | null {
  if (preapproval.kind !== 'SAID' || preapproval.value === null) return null;
  const { provider, expiresAt } = preapproval.value;
  return { provider, expiresAt, outlastsTarget: expiresAt > until };
}

export function preapprovalCheck({ token }: StoredFacts, outside: OutsideFacts, until: Micros): Check {
  const mayOffer = token?.paysOffers === true;
  return by('PREAPPROVAL', 'SCAN', outside.preapproval, (found) => {
    if (found === null) {
      const detail = 'The receiver has no preapproval.';
      return mayOffer
        ? passed(`${detail} It would be an offer.`)
        : refused('RECEIVER_NOT_PREAPPROVED', `${detail} The token’s policy demands one.`);
    }
    const ends = `The receiver’s preapproval ends at ${formatRecordTime(found.expiresAt)}`;
    if (found.expiresAt > until) return passed(`${ends}, after the last moment an attempt that opened now could pay.`);
    const detail = `${ends}, before an attempt that opened now would (${formatRecordTime(until)}).`;
    return mayOffer ? passed(`${detail} It may become an offer.`) : waits('PREAPPROVAL_ENDS', `${detail} It may fail.`);
  });
}

/** As Scan said last, which the submitting side goes by as well. */
export function trafficCheck({ refusal, traffic }: StoredFacts, { nowMicros, trafficReserve }: Clocks): Check {
  if (refusal !== null) return notReached('TRAFFIC');
  const said = (answer: Answer, asOf: Micros): Check => ({
    kind: 'TRAFFIC',
    ...answer,
    source: 'SCAN',
    certainty: 'LIKELY',
    asOf,
  });
  const looked = traffic.map((each) => ({
    ...each,
    ...trafficHealthOf(each, { reserve: trafficReserve, hoursMin: HOURS_LEFT_MIN }, nowMicros),
  }));
  const [first] = looked.toSorted((left, right) => (left.readAt < right.readAt ? -1 : 1));
  if (first === undefined) {
    const detail = 'What is left of the participants’ traffic was never read: no Scan tells of it.';
    return { kind: 'TRAFFIC', outcome: 'NOT_ASKED', code: null, detail, source: 'SCAN', certainty: 'NONE', asOf: null };
  }
  const short = looked.find(({ isBought, left }) => isBought && left < trafficReserve);
  if (short !== undefined)
    return said(waits('TRAFFIC_RESERVE', short.alarm ?? 'The traffic is down to its reserve.'), short.readAt);
  const old = looked.find(({ state }) => state === 'UNKNOWN');
  if (old !== undefined)
    return said(unknown('TRAFFIC_UNKNOWN', old.alarm ?? 'It was not read for a while.'), old.readAt);
  const low = looked.find(({ state }) => state === 'LOW');
  return said(passed(low?.alarm ?? 'The participants have traffic, or live on their base rate.'), first.readAt);
}

export function fundsOf(amount: Amount, { funds }: StoredFacts): readonly TreasuryFunds[] {
  return funds.map(({ isPaying: _isPaying, ...each }) => {
    const free = parseSum(each.free) - parseSum(each.queued);
    const outcome =
      parseSum(each.reach) >= amount && free >= amount
        ? 'ENOUGH'
        : parseSum(each.total) - parseSum(each.queued) >= amount
          ? 'WAIT'
          : 'TOO_LITTLE';
    return { ...each, outcome };
  });
}

export function fundsCheck(amount: Amount, facts: StoredFacts, { nowMicros }: Clocks): Check {
  const [paying] = fundsOf(amount, facts);
  if (paying === undefined) return notReached('FUNDS');
  const where = `of ${paying.treasury.name}`;
  switch (paying.outcome) {
    case 'ENOUGH':
      return firm('FUNDS', passed(`The free holdings ${where} reach.`), nowMicros);
    case 'WAIT':
      return firm('FUNDS', waits('FUNDS_BUSY', `The holdings ${where} reach when others are done.`), nowMicros);
    case 'TOO_LITTLE':
      return firm('FUNDS', waits('FUNDS_TOO_LITTLE', `All holdings ${where} together do not reach.`), nowMicros);
  }
}

/** Decimal text of PostgreSQL; a sum may be beyond the bound of one amount. */
function parseSum(text: string): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return whole.length <= 28 ? parseAmount(text) : BigInt(whole + fraction.padEnd(10, '0'));
}
