/**
 * The last answers that principals were given to a short list of questions, for the time when the database is away.
 *
 * An answer is found again by the same principal alone, with the same question to the letter: the key is a digest over everything that is
 * known of the principal and over document, operation and variables. It is never older than it says: its age runs from before its rows
 * were read, by the wall clock or by the time this process has run, whichever is more, so that no setting of a clock makes it younger.
 *
 * Memory is bounded: answers are kept as text, up to a number of bytes, the oldest go first, and no principal has more than half of it. The
 * newest few are kept as they are and turned into text when others follow, so that a question asked again and again costs nothing.
 */
import { createHash } from 'node:crypto';
import type { Clock, Micros } from '../env/clock.ts';
import { microsToMillis } from '../env/clock.ts';
import type { AnswerView } from '../schema/context.ts';
import type { Principal } from '../schema/principal.ts';

export type Question = {
  readonly principal: Principal;
  readonly document: string;
  readonly operationName: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
};

/** A point in time that an age can run from. */
export type Moment = { readonly wall: Micros; readonly elapsedMs: number };

export type AnswerData = Record<string, unknown>;

export type LastKnownAnswer = { readonly data: AnswerData; readonly view: AnswerView };

export type LastKnown = {
  now(): Moment;
  /** @param moment before the rows were read; @param view read no later than they. */
  keep(
    key: QuestionKey,
    answer: { readonly data: AnswerData; readonly moment: Moment; readonly view: Omit<AnswerView, 'lastKnownMs'> },
  ): void;
  /** @returns null where there is none, or it is too old to be of use. */
  find(key: QuestionKey): LastKnownAnswer | null;
  stats(): { readonly count: number; readonly bytes: number };
};

/** Digests: of the principal, and of the principal with the question. */
export type QuestionKey = { readonly principal: string; readonly question: string };

export type LastKnownLimits = {
  /** Bytes of answers. */
  readonly bytesMax: number;
  /** Milliseconds after which an answer is no longer given. */
  readonly ageMsMax: number;
};

export const LAST_KNOWN_LIMITS: LastKnownLimits = {
  bytesMax: 32 * 1024 * 1024, // Some ten thousand pages of a frontend.
  ageMsMax: 3_600_000, // An hour: what is down for longer is no hiccup, and a balance of this morning is no answer.
};

const ANSWER_BYTES_MAX = 64 * 1024;
/** What an entry costs beside its answer: two digests, its place and its view. */
const ENTRY_BYTES = 1_024;
const UNPACKED_MAX = 16;

type Entry = {
  readonly key: QuestionKey;
  readonly moment: Moment;
  readonly view: Omit<AnswerView, 'lastKnownMs'>;
  content: { readonly data: AnswerData } | { readonly text: string };
  bytes: number;
};

export function questionKey({ principal, document, operationName, variables }: Question): QuestionKey {
  const who = digest(canonical(identityOf(principal)));
  return { principal: who, question: digest(canonical([who, document, operationName, variables])) };
}

/** All that is known of a principal, also what is added to it one day; but not when its credential ends, which a new one changes. */
function identityOf(principal: Principal): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(principal).filter(([name]) => name !== 'expiresAt'));
}

export function createLastKnown({
  clock,
  limits = LAST_KNOWN_LIMITS,
}: {
  clock: Clock;
  limits?: LastKnownLimits;
}): LastKnown {
  // Maps keep the order of insertion: the first is the oldest.
  const entries = new Map<string, Entry>();
  const unpacked = new Map<string, Entry>();
  const bytesOf = new Map<string, number>();
  let bytes = 0;

  const now = (): Moment => ({ wall: clock.nowMicros(), elapsedMs: clock.elapsedMs?.() ?? 0 });

  function ageOf(moment: Moment): number {
    const { wall, elapsedMs } = now();
    return Math.ceil(Math.max(0, microsToMillis(wall - moment.wall), elapsedMs - moment.elapsedMs));
  }

  function drop(entry: Entry): void {
    if (entries.get(entry.key.question) !== entry) return;
    entries.delete(entry.key.question);
    unpacked.delete(entry.key.question);
    account(entry, -entry.bytes);
  }

  function account(entry: Entry, change: number): void {
    bytes += change;
    const own = (bytesOf.get(entry.key.principal) ?? 0) + change;
    if (own === 0) bytesOf.delete(entry.key.principal);
    else bytesOf.set(entry.key.principal, own);
  }

  function pack(entry: Entry): void {
    unpacked.delete(entry.key.question);
    if (!('data' in entry.content)) return;
    const text = JSON.stringify(entry.content.data);
    const size = 2 * text.length; // As the engine keeps text that is not Latin.
    if (size > ANSWER_BYTES_MAX) {
      drop(entry);
      return;
    }
    entry.content = { text };
    entry.bytes += size;
    account(entry, size);
    makeRoom(entry.key.principal);
  }

  function makeRoom(principal: string): void {
    for (const entry of entries.values()) {
      const isOwnTooMuch = (bytesOf.get(principal) ?? 0) > limits.bytesMax / 2;
      if (bytes <= limits.bytesMax && !isOwnTooMuch) return;
      if (bytes > limits.bytesMax || entry.key.principal === principal) drop(entry);
    }
  }

  return {
    now,
    keep: (key, { data, moment, view }) => {
      const before = entries.get(key.question);
      // Of two that were asked at the same time the one that was asked first may come last.
      if (before !== undefined && before.moment.elapsedMs > moment.elapsedMs) return;
      if (before !== undefined) drop(before);
      const entry: Entry = { key, moment, view, content: { data }, bytes: ENTRY_BYTES };
      entries.set(key.question, entry);
      unpacked.set(key.question, entry);
      account(entry, ENTRY_BYTES);
      const [oldest] = unpacked.values();
      if (unpacked.size > UNPACKED_MAX && oldest !== undefined) pack(oldest);
      makeRoom(key.principal);
    },
    find: (key) => {
      const entry = entries.get(key.question);
      if (entry === undefined) return null;
      const lastKnownMs = ageOf(entry.moment);
      if (lastKnownMs > limits.ageMsMax) {
        drop(entry);
        return null;
      }
      const { content, view } = entry;
      const data: AnswerData = 'data' in content ? content.data : JSON.parse(content.text);
      return { data, view: { ...view, lastKnownMs } };
    },
    stats: () => ({ count: entries.size, bytes }),
  };
}

const digest = (text: string): string => createHash('sha256').update(text, 'utf8').digest('base64');

/** One text for one value: sets and maps as sorted lists, keys in order, whole numbers of any size. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'bigint') return { bigint: String(part) };
    if (part instanceof Set) return { set: [...part].map(canonical).sort() };
    if (part instanceof Map) return { map: [...part].map(canonical).sort() };
    if (typeof part === 'object' && part !== null && !Array.isArray(part)) {
      return Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)));
    }
    return part;
  });
}
