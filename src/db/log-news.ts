/**
 * What whoever follows the log is told between two looks: by the database itself, the events that a writer has numbered with his commit (number_at_commit, migrations/); by anybody, how far the log reaches, or that
 * there may be something.
 *
 * A notification can be lost, late, or come again, so nothing rests on one: events that continue the log where its follower stands are taken, and whatever does not fit is a reason to look.
 */
import type { JsonValue } from './event-log.ts';
import type { SizedEvent } from './event-page.ts';

/** @property eventIdAt of what was read; null where it is not at hand any more. */
export type Standing = {
  readonly epoch: string;
  readonly head: bigint;
  eventIdAt(position: bigint): string | null;
};

/** @property events those that follow the head, without a gap. @property isToLook there may be more than them. */
export type News = { readonly events: readonly SizedEvent[]; readonly isToLook: boolean };

export type LogNews = {
  /** @param said over the channel whose name the database keeps to itself; the empty text: something may have been missed. */
  tell(said: string): void;
  /** @param said over the channel that everybody knows: the highest position, or nothing. */
  hint(said: string): void;
  /** All since the last time. Nothing said: to be looked, since a hint can be lost. */
  take(standing: Standing): News;
};

/** Notifications between two looks. More are a backlog, which is read in pages. */
const TOLD_MAX = 64;

export function createLogNews(): LogNews {
  let told: string[] = [];
  let reach: bigint | null = null;
  let isVague = false;

  return {
    tell: (said) => {
      if (said === '' || told.length === TOLD_MAX) isVague = true;
      else told.push(said);
    },
    hint: (said) => {
      if (!/^\d{1,19}$/.test(said)) isVague = true;
      else if (reach === null || BigInt(said) > reach) reach = BigInt(said);
    },
    take: ({ epoch, head, eventIdAt }) => {
      const [toldNow, reachNow, isVagueNow] = [told, reach, isVague];
      told = [];
      reach = null;
      isVague = false;

      const events: SizedEvent[] = [];
      let end = head;
      let fits = true;
      for (const text of toldNow) {
        const said = eventsOf(text);
        for (const sized of said.events) {
          const { position, eventId } = sized.event;
          if (said.epoch === epoch && position === end + 1n) {
            events.push(sized);
            end = position;
          } else if (said.epoch !== epoch || position > end || (position <= head && eventIdAt(position) !== eventId)) {
            fits = false;
          }
        }
      }
      const isSilent = toldNow.length === 0 && reachNow === null;
      return { events, isToLook: !fits || isVagueNow || isSilent || (reachNow !== null && reachNow !== end) };
    },
  };
}

/** As number_at_commit writes them. */
function eventsOf(text: string): { readonly epoch: string; readonly events: readonly SizedEvent[] } {
  type Line = readonly [position: string, eventId: string, type: string, subject: string, payload: string, at: string];
  const [epoch, ...lines] = JSON.parse(text) as readonly [string, ...Line[]];
  const events = lines.map(([position, eventId, type, subject, payload, recordedAt]) => ({
    event: {
      position: BigInt(position),
      ...{ eventId, type, subject },
      payload: JSON.parse(payload) as JsonValue,
      recordedAt: BigInt(recordedAt),
    },
    bytes: Buffer.byteLength(payload),
  }));
  return { epoch, events };
}
