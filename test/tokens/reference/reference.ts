/**
 * What an update did to one party, worked out a second time by other means, to be compared with the parser. Written from the token standard's description,
 * shares nothing with `src/tokens` but the decoded messages, and is slow on purpose.
 *
 * Where the parser walks down the tree and lets claims take what is below them, this starts from each change of a holding and climbs: of all exercises that
 * enclose it, which is the first with the right to explain it? Claims that turn out not to be able to (their sum is no amount, their offer is explained already)
 * are struck off one at a time, and everything is asked again.
 */
import type { CreatedEvent, Event, ExercisedEvent } from '../../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { Story, Told } from '../corpus/story.ts';
import {
  type Explainer,
  encloses,
  endStatus,
  instructionChoice,
  labelOf,
  mayExplain,
  reportDiffers,
  termsOf,
  turnOf,
} from './claims.ts';
import { holdingOf, type Instrument, keyOf, Misshapen, type Offer, offerOf } from './ledger-values.ts';
import { type Change, directionOf, fits, partsOf, sumOf, toldOf } from './telling.ts';

/** The update cannot be read: a contract of the party's own is unreadable, or no ledger can have made it. */
export class Unreadable extends Error {}

export type Reference = { tell(events: readonly Event[]): Story };

/** @param given holdings of the party from before the first update. @param offered offers from before, and how their transfers are told. */
export function createReference(
  party: string,
  given: readonly { readonly cid: string; readonly units: bigint; readonly instrument: Instrument }[],
  offered: readonly { readonly cid: string; readonly of: string; readonly instrument: Instrument }[] = [],
): Reference {
  const holdings = new Map(given.map((held) => [held.cid, held] as const));
  const offers = new Map(offered.map((offer) => [offer.cid, offer] as const));
  let updates = 0;
  return {
    tell: (events) => {
      const story = tellUpdate(events, party, holdings, offers, `u${updates}`);
      for (const gained of story.gained) holdings.set(gained.cid, gained);
      for (const offer of story.offers) offers.set(offer.cid, offer);
      updates += 1;
      return story;
    },
  };
}

function tellUpdate(
  events: readonly Event[],
  party: string,
  holdings: ReadonlyMap<string, { readonly units: bigint; readonly instrument: Instrument }>,
  knownOffers: ReadonlyMap<string, { readonly of: string; readonly instrument: Instrument }>,
  update: string,
): Story & {
  readonly offers: readonly { readonly cid: string; readonly of: string; readonly instrument: Instrument }[];
} {
  refuseImpossible(events);
  const creates = events.flatMap(({ event }) => (event?.$case === 'created' ? [event.value] : []));
  const exercises = events.flatMap(({ event }) => (event?.$case === 'exercised' ? [event.value] : []));
  const anomalies: { code: string; cid: string }[] = [];
  const own = <T>(event: CreatedEvent, read: () => T | undefined): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Misshapen)) throw error;
      if (event.signatories.includes(party)) throw new Unreadable(event.contractId);
      anomalies.push({ code: 'UNREADABLE_VIEW', cid: event.contractId });
      return undefined;
    }
  };

  // Holdings that came and went.
  const gained = creates.flatMap((event) => {
    const view = own(event, () => holdingOf(event));
    if (view === undefined || view.owner !== party) return [];
    const fault = !event.signatories.includes(view.instrument.admin)
      ? 'UNSIGNED_HOLDING'
      : view.part !== ''
        ? 'DIVIDED_ACCOUNT'
        : view.units <= 0n
          ? 'AMOUNT_NOT_POSITIVE'
          : null;
    if (fault !== null) {
      anomalies.push({ code: fault, cid: event.contractId });
      return [];
    }
    return [{ cid: event.contractId, node: event.nodeId, ...view }];
  });
  const went = exercises.flatMap(({ consuming, contractId, nodeId }) => {
    const held = gained.find(({ cid }) => cid === contractId) ?? holdings.get(contractId);
    return consuming && held
      ? [{ node: nodeId, cid: contractId, instrument: held.instrument, units: -held.units }]
      : [];
  });
  const changes: Change[] = [...gained, ...went].sort((left, right) => left.node - right.node);

  // Offers that were made.
  const made: Offer[] = creates.flatMap((event) => {
    const offer = own(event, () => offerOf(event));
    if (offer === undefined || ![offer.transfer.sender, offer.transfer.receiver].includes(party)) return [];
    if (event.signatories.includes(offer.transfer.instrument.admin)) return [offer];
    anomalies.push({ code: 'UNSIGNED_OFFER', cid: event.contractId });
    return [];
  });
  const originOf = (offer: Offer): string | null => {
    if (offer.original === null) return null;
    const before = made.find(({ cid, node }) => cid === offer.original && node < offer.node)?.transfer.instrument;
    const instrument = knownOffers.get(offer.original)?.instrument ?? before;
    return instrument && keyOf(instrument) === keyOf(offer.transfer.instrument) ? offer.original : null;
  };
  const instrumentOf = (cid: string): Instrument | undefined =>
    knownOffers.get(cid)?.instrument ?? made.find((offer) => offer.cid === cid)?.transfer.instrument;

  // Offers that ended, each by the outermost choice of the standard on it that saw it consumed, or by what consumed it.
  const ends = exercises
    .filter(({ consuming, contractId }) => consuming && instrumentOf(contractId) !== undefined)
    .map((consumption) => {
      const speakers = exercises.filter(
        (exercise) =>
          exercise.contractId === consumption.contractId &&
          encloses(exercise, consumption.nodeId) &&
          instructionChoice(exercise) !== null,
      );
      return { by: speakers[0] ?? consumption, choice: speakers[0] ? instructionChoice(speakers[0]) : null };
    })
    .sort((left, right) => left.by.nodeId - right.by.nodeId);
  const endedCids = ends.map(({ by }) => by.contractId);
  const speaking = exercises.filter(({ contractId }) => !endedCids.includes(contractId));

  // Who may explain: ends of their offer's instrument, then terms, then labels; in each the outermost first.
  const struck = new Set<string>();
  const explainers = new Map<string, Explainer>();
  const nameOf = (rank: string, exercise: ExercisedEvent, { admin, id }: Instrument) =>
    JSON.stringify([rank, exercise.nodeId, admin, id]);
  const explainerOf = (change: Change): string | null => {
    const offered = (rank: string, exercise: ExercisedEvent, explainer: () => Explainer | null): string | null => {
      const name = nameOf(rank, exercise, change.instrument);
      if (struck.has(name) || !encloses(exercise, change.node)) return null;
      const found = explainers.get(name) ?? explainer();
      if (found === null) return null;
      explainers.set(name, found);
      return name;
    };
    for (const { by } of ends) {
      const instrument = instrumentOf(by.contractId);
      if (instrument === undefined || keyOf(instrument) !== keyOf(change.instrument)) continue;
      const name = offered('0', by, () => ({ rank: 0, exercise: by, offer: null, tell: null }));
      if (name !== null) return name;
    }
    for (const [rank, explain] of [
      ['1', (exercise: ExercisedEvent) => termsOf(exercise, change.instrument, party, made)],
      ['2', (exercise: ExercisedEvent) => labelOf(exercise, change.instrument, party)],
    ] as const) {
      for (const exercise of speaking) {
        const name = offered(rank, exercise, () =>
          mayExplain(exercise, change.instrument, party, events) ? explain(exercise) : null,
        );
        if (name !== null) return name;
      }
    }
    return null;
  };

  let groups: Map<string, Change[]>;
  let unclaimed: Change[];
  for (;;) {
    groups = new Map();
    unclaimed = [];
    for (const change of changes) {
      const name = explainerOf(change);
      if (name === null) unclaimed.push(change);
      else groups.set(name, [...(groups.get(name) ?? []), change]);
    }
    const inTurn = [...groups.keys()].sort((left, right) => turnOf(explainers, left) - turnOf(explainers, right));
    const explainedOffers = new Set<string>();
    const wrong = inTurn.find((name) => {
      if (!fits(sumOf(groups.get(name) ?? []))) return true;
      const offer = explainers.get(name)?.offer ?? null;
      if (offer === null) return false;
      if (explainedOffers.has(offer)) return true;
      explainedOffers.add(offer);
      return false;
    });
    if (wrong === undefined) break;
    struck.add(wrong);
  }

  // Movements, in order of their nodes.
  const drafts: { node: number; order: number; told: Told; offer?: string }[] = [];
  const pending = new Map<string, bigint>();
  const deltaOfEnd = new Map<number, bigint>();
  for (const [name, group] of groups) {
    const explainer = explainers.get(name);
    if (explainer === undefined) throw new Error('A group without its explainer.');
    const sum = sumOf(group);
    if (explainer.rank === 0) deltaOfEnd.set(explainer.exercise.nodeId, sum);
    else if (explainer.offer !== null) pending.set(explainer.offer, sum);
    else if (explainer.tell !== null) {
      drafts.push({ node: explainer.exercise.nodeId, order: group[0]?.node ?? 0, told: explainer.tell(sum) });
    }
  }
  for (const offer of made) {
    if (originOf(offer) !== null) continue;
    const told = toldOf('OFFER', offer.transfer, party, pending.get(offer.cid) ?? 0n, offer.transfer.units);
    drafts.push({ node: offer.node, order: 1e9, told: { ...told, status: 'PENDING' }, offer: offer.cid });
  }
  for (const group of Map.groupBy(unclaimed, ({ instrument }) => keyOf(instrument)).values()) {
    const lasting = group.filter(({ cid }) => group.filter((change) => change.cid === cid).length === 1);
    const apart = lasting.some(({ units }) => units < 0n)
      ? partsOf(group, 'UNEXPLAINED')
      : partsOf(lasting, 'DIRECT', true);
    drafts.push(...apart.map((part) => ({ ...part, order: 2e9 })));
  }
  drafts.sort((left, right) => left.node - right.node || left.order - right.order);

  const transferOf = new Map([...knownOffers].map(([cid, { of }]) => [cid, of]));
  drafts.forEach(({ offer }, rank) => {
    if (offer !== undefined) transferOf.set(offer, `${update}.${rank}`);
  });
  for (const offer of made) {
    const origin = originOf(offer);
    const of = origin === null ? undefined : transferOf.get(origin);
    if (of !== undefined) transferOf.set(offer.cid, of);
  }
  const named = made.flatMap((offer) => {
    const of = transferOf.get(offer.cid);
    return of === undefined ? [] : [{ offer, of }];
  });
  for (const exercise of exercises) {
    if (reportDiffers(exercise, party, changes))
      anomalies.push({ code: 'EVENT_LOG_DIFFERS', cid: exercise.contractId });
  }
  return {
    movements: drafts.map(({ told }) => told),
    progress: ends.flatMap(({ by, choice }) => {
      const of = transferOf.get(by.contractId);
      return of === undefined
        ? []
        : [{ of, status: endStatus(choice)[1], deltaUnits: deltaOfEnd.get(by.nodeId) ?? 0n }];
    }),
    opened: named.map(({ offer, of }) => ({
      cid: offer.cid,
      original: originOf(offer) ?? offer.cid,
      of,
      direction: directionOf(offer.transfer, party),
    })),
    ended: ends.map(({ by, choice }) => ({ cid: by.contractId, status: endStatus(choice)[0] })),
    gained: gained.map(({ cid, units, instrument, isLocked }) => ({ cid, units, instrument, isLocked })),
    lost: went.map(({ cid }) => cid),
    anomalies,
    offers: named.map(({ offer, of }) => ({ cid: offer.cid, of, instrument: offer.transfer.instrument })),
  };
}

/** Each node once; each contract created once, consumed once, and in that order. */
function refuseImpossible(events: readonly Event[]): void {
  const seen = new Set<string>();
  const once = (what: string) => {
    if (seen.has(what)) throw new Unreadable(what);
    seen.add(what);
  };
  for (const { event } of events) {
    if (event === undefined || event.$case === 'archived' || event.value.nodeId < 0) throw new Unreadable('event');
    once(`node ${event.value.nodeId}`);
    if (event.$case === 'created') once(`created ${event.value.contractId}`);
    else if (event.value.consuming) once(`consumed ${event.value.contractId}`);
    if (event.$case === 'exercised') {
      const { nodeId, lastDescendantNodeId } = event.value;
      const isAstray = events.some(
        (around) =>
          around.event?.$case === 'exercised' &&
          around.event.value.nodeId < nodeId &&
          encloses(around.event.value, nodeId) &&
          !encloses(around.event.value, lastDescendantNodeId),
      );
      if (lastDescendantNodeId < nodeId || isAstray) throw new Unreadable('subtree');
    }
    if (event.$case === 'created' && seen.has(`consumed ${event.value.contractId}`)) throw new Unreadable('order');
  }
}
