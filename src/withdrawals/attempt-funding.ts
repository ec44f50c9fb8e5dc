/**
 * Opening attempts: queued withdrawals get inputs, reserved for them alone, and a target record time. From here on both are fixed.
 *
 * Oldest first, and nobody is overtaken for ever. A younger withdrawal may be paid while the oldest one that waits for funds cannot be, as long as what is left in the end still makes that one; and once that one
 * has waited long, nothing younger is. What is under way comes back or is gone within the time that an attempt has, and then the oldest is paid, or merged for.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import type { PermanentError } from '../env/errors.ts';
import { insertAttempts, type NewAttempt } from '../submissions/attempt-opening.ts';
import type { AttemptLimits } from '../submissions/attempts.ts';
import { isolated, type OnRefused, throwRefused } from '../submissions/isolated.ts';
import { type PositionClock, positionClock } from '../submissions/position-clock.ts';
import { type Amount, amountOf, formatAmount, parseAmount } from '../tokens/amount.ts';
import type { TransferJson } from '../tokens/transfer-record.ts';
import { readFreeAmong } from './free-holdings.ts';
import { boundsOf, type FundingState, type Head, readFundingStates, readHeads } from './funding-state.ts';
import { type SpendableHolding, selectInputs } from './input-selection.ts';
import { IS_PAYABLE } from './payable.ts';
import { isMergingInVain, openMerges, openSplits } from './pool/self-transfer-opening.ts';
import { metadataOf } from './transfer-metadata.ts';
import { REQUESTED_BEFORE_MS } from './transfer-times.ts';
import { applyWithdrawalEvents } from './withdrawal-store.ts';

const FUND_BATCH_MAX = 50;
/** From then on nothing younger is paid before it, whatever is left. */
const OVERTAKEN_MS_MAX = 15_000;

/**
 * Opens attempts for queued withdrawals, oldest first, as far as funds go, and transfers to ourselves where those help.
 * @param onRefused what to do where one cannot be written; the others are. Default: throw.
 * @param onSelfTransfers told, before they are committed, that there are some.
 * @returns how many were opened. One runner per treasury at a time (row lock), any number of processes.
 */
export async function openAttempts(
  db: Database,
  treasuryId: number,
  limits: AttemptLimits,
  nowMicros: Micros,
  onRefused: OnRefused = throwRefused,
  onSelfTransfers: () => void = () => undefined,
): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const { party } = await tx
      .selectFrom('treasury_party')
      .select('party')
      .where('id', '=', treasuryId)
      .forNoKeyUpdate()
      .executeTakeFirstOrThrow();
    const clock = await positionClock(tx, treasuryId, limits, nowMicros);
    if (clock === null) return 0;
    const states = await readFundingStates(tx, treasuryId, clock);
    if (states.size === 0) return 0;
    const context = { tx, treasuryId, party, clock, limits, nowMicros, onRefused };
    let opened = 0;
    for (const state of states.values()) opened += await openSplits(context, state);
    await readHeads(tx, treasuryId, states);
    const queued = await takeFundable(tx, treasuryId, states, nowMicros);
    const funded = new Set(await fundAll(context, states, queued));
    const waiting = new Set(queued.filter(({ id }) => !funded.has(id)).map(({ instrumentKey }) => instrumentKey));
    for (const state of states.values()) opened += await openMerges(context, state, !waiting.has(state.instrumentKey));
    if (opened > 0) onSelfTransfers();
    return opened + funded.size;
  });
}

type QueuedWithdrawal = {
  readonly id: string;
  readonly receiver: string;
  readonly amount: Amount;
  readonly memo: string | null;
  readonly sealedOrigin: string | null;
  readonly instrumentKey: number;
  readonly createdAt: Micros;
  /** Nothing may commit after it. */
  readonly deadline: Micros | null;
};

type FundingContext = {
  readonly tx: Transaction;
  readonly treasuryId: number;
  readonly party: string;
  readonly clock: PositionClock;
  readonly limits: AttemptLimits;
  readonly nowMicros: Micros;
  readonly onRefused: OnRefused;
};

type Funded = { readonly withdrawalId: string; readonly attempt: NewAttempt };

/** Funds what can be funded of `queued`, all in one; where one of them cannot be written, one after the other, so that it takes nothing from the others. @returns the ids of those that were opened. */
async function fundAll(
  context: FundingContext,
  states: ReadonlyMap<number, FundingState>,
  queued: readonly QueuedWithdrawal[],
): Promise<readonly string[]> {
  if (queued.length === 0) return [];
  const { tx, nowMicros, onRefused } = context;
  const earlier = await earlierInputs(tx, context.treasuryId, queued);
  const fundOne = (withdrawal: QueuedWithdrawal): Funded | null => {
    const state = states.get(withdrawal.instrumentKey);
    return state === undefined ? null : fund(context, state, withdrawal, earlier.get(withdrawal.id) ?? NOTHING_EARLIER);
  };
  const write = async (some: readonly Funded[]): Promise<PermanentError | null> =>
    some.length === 0
      ? null
      : await isolated(tx, async () => {
          await insertAttempts(
            tx,
            some.map(({ attempt }) => attempt),
          );
          await applyWithdrawalEvents(
            tx,
            some.map(({ withdrawalId }) => ({ withdrawalId, event: { kind: 'ATTEMPT_OPENED' }, facts: { nowMicros } })),
          );
        });

  const before = [...states.values()].map((state) => remember(state));
  const all = queued.map(fundOne).filter((funded) => funded !== null);
  if ((await write(all)) === null) return all.map(({ withdrawalId }) => withdrawalId);

  for (const putBack of before) putBack();
  const opened: string[] = [];
  for (const withdrawal of queued) {
    const unfunded = [...states.values()].map((state) => remember(state));
    const funded = fundOne(withdrawal);
    if (funded === null) continue;
    const refused = await write([funded]);
    if (refused === null) opened.push(withdrawal.id);
    else {
      for (const putBack of unfunded) putBack();
      await onRefused(withdrawal.id, refused);
    }
  }
  return opened;
}

/** @returns puts `state` back to what it was. */
function remember(state: FundingState): () => void {
  const { free, given, available, head } = state;
  const givenBefore = [...given];
  return () => {
    Object.assign(state, { free, available, head });
    given.clear();
    for (const contractId of givenBefore) given.add(contractId);
  };
}

/** Chooses inputs, and notes in `state` that they are taken. @returns null where it has to wait. */
function fund(
  context: FundingContext,
  state: FundingState,
  withdrawal: QueuedWithdrawal,
  earlier: EarlierInputs,
): Funded | null {
  const { treasuryId, clock, nowMicros } = context;
  const { amount } = withdrawal;
  if (mustWait(state, withdrawal, nowMicros)) return null;
  const known = new Set(state.free.map(({ contractId }) => contractId));
  // Those of earlier attempts were read before this pass gave anything away.
  const holdings = [
    ...state.free,
    ...earlier.free.filter(({ contractId }) => !known.has(contractId) && !state.given.has(contractId)),
  ];
  const { inputsMax, target } = state;
  const selection = selectInputs(amount, holdings, earlier.byAttempt, {
    inputsMax,
    largeFrom: target === null ? null : target.amount,
  });
  if (selection.kind === 'KEPT_INPUT_TAKEN') return null;
  if (selection.kind === 'INSUFFICIENT') {
    // What others of this pass took is on its way, or what it has to keep takes the place of larger ones: the first one that it does not reach for is the head from now on.
    const { keptCount } = selection;
    if (amount <= state.available && (state.head === null || isOlder(withdrawal, state.head)))
      state.head = { ...withdrawal, keptCount };
    return null;
  }
  const inputs = selection.inputs.map(({ contractId }) => contractId);
  const ttl = millisToMicros(context.limits.ttlMs);
  const { deadline } = withdrawal;
  const lastRecordTime = deadline !== null && deadline < clock.recordTime + ttl ? deadline : clock.recordTime + ttl;
  const transfer: TransferJson = {
    sender: context.party,
    receiver: withdrawal.receiver,
    amount: formatAmount(amount),
    instrumentId: { admin: state.admin, id: state.instrumentName },
    requestedAt: (clock.recordTime - millisToMicros(REQUESTED_BEFORE_MS)).toString(),
    executeBefore: (lastRecordTime + ttl).toString(),
    inputHoldingCids: inputs,
    meta: { values: metadataOf(withdrawal) },
  };
  const spent = new Set(inputs);
  for (const contractId of inputs) state.given.add(contractId);
  state.free = state.free.filter(({ contractId }) => !spent.has(contractId));
  state.available -= amount;
  return {
    withdrawalId: withdrawal.id,
    attempt: {
      submissionId: submissionOf(withdrawal.id),
      purpose: { purpose: 'WITHDRAWAL', withdrawal_id: withdrawal.id },
      treasuryId,
      instrumentKey: state.instrumentKey,
      clock,
      target: lastRecordTime,
      transfer,
      inputs,
      nowMicros,
    },
  };
}

/** Whether somebody older waits for what this one would take. */
function mustWait(state: FundingState, withdrawal: QueuedWithdrawal, nowMicros: Micros): boolean {
  const { head } = state;
  if (head === null || isOlder(withdrawal, head) || isMergingInVain(state)) return false;
  return withdrawal.amount > spareBeside(head, state.available, nowMicros);
}

/** The most that one younger than the head may take while that one waits. */
function spareBeside(head: Head, available: bigint, nowMicros: Micros): bigint {
  if (nowMicros - head.createdAt > millisToMicros(OVERTAKEN_MS_MAX)) return 0n;
  return available > head.amount ? available - head.amount : 0n;
}

type Place = { readonly id: string; readonly createdAt: Micros };

function isOlder(left: Place, right: Place): boolean {
  return left.createdAt < right.createdAt || (left.createdAt === right.createdAt && left.id < right.id);
}

function submissionOf(withdrawalId: string): string {
  return `sb_${withdrawalId.slice(3)}`;
}

/**
 * Locks queued withdrawals, oldest first, that are within reach of the treasury's free holdings. The others are left out before the limit and not
 * after it: however many ask for more than there is, for an instrument that ran out, or wait behind the head of theirs, they stand in nobody's way. Nor is one taken that may not be paid.
 */
async function takeFundable(
  tx: Transaction,
  treasuryId: number,
  states: ReadonlyMap<number, FundingState>,
  nowMicros: Micros,
): Promise<readonly QueuedWithdrawal[]> {
  const payable = [...states.values()].filter(({ isStopped, free }) => !isStopped && free.length > 0);
  if (payable.length === 0) return [];
  const headed = payable.flatMap((state) =>
    state.head === null || isMergingInVain(state)
      ? []
      : [
          {
            ...state.head,
            instrumentKey: state.instrumentKey,
            spare: spareBeside(state.head, state.available, nowMicros),
          },
        ],
  );
  const heads = sql`unnest(
    ${headed.map(({ instrumentKey }) => instrumentKey)}::int[], ${headed.map(({ createdAt }) => String(createdAt))}::bigint[],
    ${headed.map(({ id }) => id)}::text[], ${headed.map(({ spare }) => formatAmount(amountOf(spare)))}::numeric[]
  ) AS head (instrument_id, created_at, id, spare)`;
  const { rows } = await sql<Omit<QueuedWithdrawal, 'amount'> & { amount: string }>`
    SELECT w.id, w.receiver, w.amount::text AS amount, w.memo, w.sealed_origin AS "sealedOrigin", w.instrument_id AS "instrumentKey", w.created_at AS "createdAt", w.deadline
    FROM withdrawal w
    JOIN (${boundsOf(payable)}) AS bound ON bound.instrument_id = w.instrument_id
    LEFT JOIN ${heads} ON head.instrument_id = w.instrument_id
    -- In this order: of thousands that wait, most are out of reach or behind a head, and what is asked last takes a hundred times as long.
    WHERE w.treasury_id = ${treasuryId} AND w.state = 'QUEUED' AND CASE
      WHEN w.amount::numeric > bound.reach THEN false
      WHEN (w.created_at, w.id) > (head.created_at, head.id) AND w.amount::numeric > head.spare THEN false
      ELSE ${IS_PAYABLE} END
    ORDER BY w.created_at, w.id
    LIMIT ${FUND_BATCH_MAX}
    FOR UPDATE OF w SKIP LOCKED`.execute(tx);
  return rows.map(({ amount, ...row }) => ({ ...row, amount: parseAmount(amount) }));
}

type EarlierInputs = {
  /** Per earlier attempt for which a signature may exist, its inputs that the ledger has not spent; attempts without such are left out. */
  readonly byAttempt: readonly (readonly string[])[];
  /** Those of them that may be taken. */
  readonly free: readonly SpendableHolding[];
};

const NOTHING_EARLIER: EarlierInputs = { byAttempt: [], free: [] };

/** @returns by the withdrawal's id; most have nothing earlier. */
async function earlierInputs(
  tx: Transaction,
  treasuryId: number,
  queued: readonly QueuedWithdrawal[],
): Promise<ReadonlyMap<string, EarlierInputs>> {
  if (queued.length === 0) return new Map();
  const { rows } = await sql<{ withdrawalId: string; inputs: string[] }>`
    -- Of those with the same inputs one: a signer that is away is asked for one attempt after the other.
    SELECT DISTINCT s.withdrawal_id AS "withdrawalId", array_agg(r.contract_id ORDER BY r.contract_id) AS inputs
    FROM submission s
    JOIN attempt a ON a.submission_id = s.id AND a.sign_requested_at IS NOT NULL
    JOIN reservation r ON r.submission_id = a.submission_id AND r.number = a.number
    JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id AND h.archived_update_id IS NULL
    WHERE s.withdrawal_id = ANY (${queued.map(({ id }) => id)}::text[])
    GROUP BY s.withdrawal_id, a.number`.execute(tx);
  const free = await readFreeAmong(
    tx,
    treasuryId,
    rows.flatMap(({ inputs }) => inputs),
  );
  const found = new Map<string, EarlierInputs>();
  for (const { withdrawalId, inputs } of rows) {
    const before = found.get(withdrawalId) ?? NOTHING_EARLIER;
    found.set(withdrawalId, {
      byAttempt: [...before.byAttempt, inputs],
      free: [
        ...before.free,
        ...free.filter((holding) => inputs.includes(holding.contractId) && !before.free.includes(holding)),
      ],
    });
  }
  return found;
}
