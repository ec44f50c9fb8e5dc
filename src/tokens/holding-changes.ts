/** Which holdings of a party a transaction created and consumed: the part of a transaction that no claim can bend. */
import type { CreatedEvent, Event } from '../gen/com/daml/ledger/api/v2/event.ts';
import { type Amount, amountOf, fitsAmount, sumAmounts } from './amount.ts';
import type { Speaker } from './belief.ts';
import { createOpenChanges, type OpenChanges } from './open-changes.ts';
import type { Instrument } from './transfer-record.ts';
import { DecodeError, qualifiedName } from './value.ts';
import { type HoldingView, holdingView, isOwnHolding, isSignedByAdmin } from './views.ts';

export type HoldingCreated = HoldingView & { readonly contractId: string; readonly template: string };
export type KnownHolding = { readonly instrument: Instrument; readonly amount: Amount };

/** Something an operator should look at; it touched no balance. */
export type Anomaly = {
  readonly code:
    | 'UNSIGNED_HOLDING'
    | 'UNSIGNED_OFFER'
    | 'DIVIDED_ACCOUNT'
    | 'UNREADABLE_VIEW'
    | 'AMOUNT_NOT_POSITIVE'
    | 'EVENT_LOG_DIFFERS';
  readonly contractId: string;
};

/** One holding gained or lost. `delta` is positive for a created one, negative for a consumed one. Equal instruments are the same object. */
export type HoldingChange = {
  readonly nodeId: number;
  readonly contractId: string;
  readonly instrument: Instrument;
  readonly delta: Amount;
  isTaken: boolean;
};

/** The sum of an instrument's changes. */
export type InstrumentDelta = { readonly instrument: Instrument; readonly delta: Amount };

export type HoldingChanges = {
  readonly created: readonly HoldingCreated[];
  /** Contract ids, in the order of their ends. */
  readonly archived: readonly string[];
  /** All of them, by rising node id, taken or not. */
  readonly all: readonly HoldingChange[];
  /**
   * Takes the changes of one instrument between two node ids, both inclusive, and returns their sum; `undefined` where there are none that nobody has taken. A
   * change can be taken once: that is why nothing counts twice.
   */
  take(from: number, to: number, instrument: Instrument): Amount | undefined;
  /** Likewise the changes of every instrument that `speaker` may speak for, in order of appearance. */
  takeAll(from: number, to: number, speaker: Speaker): readonly InstrumentDelta[];
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
  const add = (nodeId: number, contractId: string, instrument: Instrument, delta: Amount) =>
    all.push({ nodeId, contractId, instrument: intern(instrument), delta, isTaken: false });

  for (const { event } of events) {
    if (event?.$case === 'created') {
      const holding = ownHolding(event.value, party, report);
      if (holding === undefined) continue;
      created.set(holding.contractId, holding);
      add(event.value.nodeId, holding.contractId, holding.instrument, holding.amount);
    } else if (event?.$case === 'exercised' && event.value.consuming) {
      const { contractId, nodeId } = event.value;
      const holding = created.get(contractId) ?? knownHolding(contractId);
      if (holding === undefined) continue;
      archived.push(contractId);
      add(nodeId, contractId, holding.instrument, amountOf(-holding.amount));
    }
  }
  return { created: [...created.values()], archived, all, ...takers(all) };
}

function takers(all: readonly HoldingChange[]): Pick<HoldingChanges, 'take' | 'takeAll'> {
  const everything = openBy(all, () => '');
  const byInstrument = openBy(all, ({ instrument }) => keyOf(instrument));
  const byAdmin = openBy(all, ({ instrument }) => instrument.admin);
  return {
    take: (from, to, instrument) => takeSum(byInstrument(keyOf(instrument), from, to)),
    takeAll: (from, to, speaker) => {
      const open =
        speaker === 'ANY' ? everything('', from, to) : [...speaker].flatMap((admin) => byAdmin(admin, from, to));
      if (open.length === 0) return [];
      return [...Map.groupBy(open.sort(byNodeId), ({ instrument }) => instrument)].flatMap(([instrument, changes]) => {
        const delta = takeSum(changes);
        return delta === undefined ? [] : [{ instrument, delta }];
      });
    },
  };
}

/** Finds the open changes of one key between two node ids. Nothing is prepared before the first question: most transactions ask one or two. */
function openBy(
  all: readonly HoldingChange[],
  keyOfChange: (change: HoldingChange) => string,
): (key: string, from: number, to: number) => HoldingChange[] {
  let byKey: ReadonlyMap<string, OpenChanges<HoldingChange>> | null = null;
  return (key, from, to) => {
    if (all.length === 0) return [];
    byKey ??= new Map(
      [...Map.groupBy(all, keyOfChange)].map(([group, changes]) => [group, createOpenChanges(changes)] as const),
    );
    return byKey.get(key)?.within(from, to) ?? [];
  };
}

/** Where the sum is more than an amount can be (only a made-up instrument has so many), nothing is taken: no claim can explain that. */
function takeSum(changes: readonly HoldingChange[]): Amount | undefined {
  const sum = sumAmounts(changes.map(({ delta }) => delta));
  if (changes.length === 0 || !fitsAmount(sum)) return undefined;
  for (const change of changes) change.isTaken = true;
  return sum;
}

function byNodeId(left: HoldingChange, right: HoldingChange): number {
  return left.nodeId - right.nodeId;
}

/** The holding that `event` creates for `party`; `undefined` where it is another's, none, in a divided account, or not signed by the admin it names. */
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
  if (!isOwnHolding(view, party)) {
    report({ code: 'DIVIDED_ACCOUNT', contractId: event.contractId });
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
  return `${admin.length} ${admin}${id}`; // Told apart wherever the one ends and the other begins.
}
