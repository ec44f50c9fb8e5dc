/** Which holdings of a party a transaction created and consumed: the part of a transaction that no claim can bend. */
import type { CreatedEvent, Event } from '../gen/com/daml/ledger/api/v2/event.ts';
import { type Amount, amountOf, fitsAmount, sumAmounts, ZERO } from './amount.ts';
import { createOpenChanges } from './open-changes.ts';
import type { Instrument } from './transfer-record.ts';
import { DecodeError, qualifiedName } from './value.ts';
import { type HoldingView, holdingView, isSignedByAdmin } from './views.ts';

export type HoldingCreated = HoldingView & { readonly contractId: string; readonly template: string };
export type KnownHolding = { readonly instrument: Instrument; readonly amount: Amount };

/** Something an operator should look at; it touched no balance. */
export type Anomaly = {
  readonly code: 'UNSIGNED_HOLDING' | 'UNSIGNED_OFFER' | 'UNREADABLE_VIEW' | 'AMOUNT_NOT_POSITIVE';
  readonly contractId: string;
};

/** One holding gained or lost. `delta` is positive for a created one, negative for a consumed one. Equal instruments are the same object. */
type HoldingChange = {
  readonly nodeId: number;
  readonly instrument: Instrument;
  readonly delta: bigint;
};

export type HoldingChanges = {
  readonly created: readonly HoldingCreated[];
  /** Contract ids, in the order of their ends. */
  readonly archived: readonly string[];
  /** The instruments of the changes between two node ids, both inclusive, that nobody has taken yet; in order of appearance. */
  instrumentsIn(from: number, to: number): readonly Instrument[];
  /** Whether `test` holds for all of those instruments. */
  isEveryIn(from: number, to: number, test: (instrument: Instrument) => boolean): boolean;
  /**
   * Takes the changes of one instrument in that range and returns their sum. A change can be taken once: that is why nothing counts twice. Where the
   * sum is more than an amount can be (only a made-up instrument has so many), nothing is taken and zero returned.
   */
  take(from: number, to: number, instrument: Instrument): Amount;
  /** What nobody took: per instrument the node id of the first change and the sum, where it is not zero; in parts where an amount cannot hold it. */
  untaken(): readonly { readonly nodeId: number; readonly instrument: Instrument; readonly delta: Amount }[];
};

/**
 * @param events in pre-order.
 * @param knownHolding the party's holdings of earlier updates.
 * @throws DecodeError when a contract that the party signed has a Holding view that cannot be read.
 */
export function holdingChanges(
  events: readonly Event[],
  party: string,
  knownHolding: (contractId: string) => KnownHolding | undefined,
  report: (anomaly: Anomaly) => void,
): HoldingChanges {
  const created = new Map<string, HoldingCreated>();
  const archived: string[] = [];
  const all: HoldingChange[] = [];
  const interned = new Map<string, Instrument>();
  const intern = (instrument: Instrument): Instrument => {
    const key = keyOf(instrument);
    const known = interned.get(key) ?? instrument;
    interned.set(key, known);
    return known;
  };

  for (const { event } of events) {
    if (event?.$case === 'created') {
      const holding = ownHolding(event.value, party, report);
      if (holding === undefined) continue;
      created.set(holding.contractId, holding);
      all.push({ nodeId: event.value.nodeId, instrument: intern(holding.instrument), delta: holding.amount });
    } else if (event?.$case === 'exercised' && event.value.consuming) {
      const { contractId, nodeId } = event.value;
      const holding = created.get(contractId) ?? knownHolding(contractId);
      if (holding === undefined) continue;
      archived.push(contractId);
      all.push({ nodeId, instrument: intern(holding.instrument), delta: -holding.amount });
    }
  }

  const open = createOpenChanges(all);
  return {
    created: [...created.values()],
    archived,
    instrumentsIn: (from, to) => [...new Set(open.within(from, to).map((index) => open.at(index).instrument))],
    isEveryIn: (from, to, test) => open.every(from, to, ({ instrument }) => test(instrument)),
    take: (from, to, instrument) => {
      const known = interned.get(keyOf(instrument));
      const found = open.within(from, to).filter((index) => open.at(index).instrument === known);
      const sum = sumAmounts(found.map((index) => open.at(index).delta));
      if (!fitsAmount(sum)) return ZERO;
      open.take(found);
      return sum;
    },
    untaken: () => {
      const left = open.within(0, Number.MAX_SAFE_INTEGER).map(open.at);
      return [...Map.groupBy(left, ({ instrument }) => instrument).values()].flatMap(sumsThatFit);
    },
  };
}

/** The holding that `event` creates for `party`; `undefined` where it is another's, none, or not signed by the admin it names. */
function ownHolding(
  event: CreatedEvent,
  party: string,
  report: (anomaly: Anomaly) => void,
): HoldingCreated | undefined {
  const view = readableView(event, party, holdingView, report);
  if (view === undefined || view.owner !== party) return undefined;
  if (!isSignedByAdmin(event, view.instrument)) {
    report({ code: 'UNSIGNED_HOLDING', contractId: event.contractId });
    return undefined;
  }
  // The interface promises more than nothing, the package behind it need not keep that.
  if (view.amount <= 0n) {
    report({ code: 'AMOUNT_NOT_POSITIVE', contractId: event.contractId });
    return undefined;
  }
  return { ...view, contractId: event.contractId, template: `${event.packageName}:${qualifiedName(event.templateId)}` };
}

/**
 * Reads a view of `event`. Anybody can show us a contract whose view fails, so that alone must not stop the stream; but where the party itself
 * signed the contract, its balance is in doubt and the error goes up.
 */
export function readableView<T>(
  event: CreatedEvent,
  party: string,
  read: (event: CreatedEvent) => T | undefined,
  report: (anomaly: Anomaly) => void,
): T | undefined {
  try {
    return read(event);
  } catch (error) {
    if (!(error instanceof DecodeError) || event.signatories.includes(party)) throw error;
    report({ code: 'UNREADABLE_VIEW', contractId: event.contractId });
    return undefined;
  }
}

export function isSameInstrument(left: Instrument, right: Instrument): boolean {
  return left.admin === right.admin && left.id === right.id;
}

function keyOf({ admin, id }: Instrument): string {
  return JSON.stringify([admin, id]);
}

function sumsThatFit(
  changes: readonly HoldingChange[],
): { readonly nodeId: number; readonly instrument: Instrument; readonly delta: Amount }[] {
  const sums: { nodeId: number; instrument: Instrument; delta: Amount }[] = [];
  for (const { nodeId, instrument, delta } of changes) {
    const last = sums.at(-1);
    const sum = (last?.delta ?? 0n) + delta;
    if (last !== undefined && fitsAmount(sum)) last.delta = sum;
    else sums.push({ nodeId, instrument, delta: amountOf(delta) });
  }
  return sums.filter(({ delta }) => delta !== 0n);
}
