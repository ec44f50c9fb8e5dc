/**
 * A recording played over and over, each time with new ids, offsets and record times, so that a small recording makes a ledger of any length. The bytes are
 * patched in place, which costs a thousandth of what encoding would: what replaces an id, an offset or a time is as long as what it replaces.
 */
import type { Transaction } from '../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { GetUpdatesResponse } from '../src/gen/com/daml/ledger/api/v2/update_service.ts';

export type Replay = {
  /** Message number `index`, counted from 0, of a ledger without end. */
  message(index: number): Buffer;
  /** Its offset. */
  offsetAt(index: number): bigint;
  /** How many messages have offsets up to and including `offset`. */
  countUpTo(offset: bigint): number;
};

type Patch = { readonly at: number; readonly kind: 'ID' | 'OFFSET' | 'SECONDS' };
type Template = {
  readonly bytes: Buffer;
  readonly patches: readonly Patch[];
  readonly offset: bigint;
  readonly seconds: bigint;
};

/** Hexadecimal digits of an id that are replaced by the number of the round; 12 in, they are inside the hash of both kinds of id. */
const ID_DIGITS = 6;
const ID_DIGITS_AT = 12;

/** @param messages transactions in order of their offsets, which take five bytes each as a varint (2^28 to 2^35), as must those of the replay. */
export function createReplay(messages: readonly Buffer[]): Replay {
  const ids = new Set(messages.flatMap((bytes) => idsIn(transactionOf(bytes))));
  const templates = messages.map((bytes) => templateOf(bytes, ids));
  const [first] = templates;
  const last = templates.at(-1);
  if (first === undefined || last === undefined) throw new Error('A replay needs a recording.');
  const span = last.offset - first.offset + 1n;
  const duration = last.seconds - first.seconds + 1n;

  const at = (index: number) => {
    const round = Math.floor(index / templates.length);
    const template = templates[index % templates.length];
    if (template === undefined) throw new Error(`There is no message ${index}.`);
    return { round, template };
  };
  return {
    message: (index) => {
      const { round, template } = at(index);
      const bytes = Buffer.from(template.bytes);
      const parts = {
        ID: Buffer.from(round.toString(16).padStart(ID_DIGITS, '0'), 'latin1'),
        OFFSET: varint(template.offset + span * BigInt(round)),
        SECONDS: varint(template.seconds + duration * BigInt(round)),
      };
      for (const { kind, at: place } of template.patches) {
        const part = parts[kind];
        for (let index = 0; index < part.length; index += 1) bytes[place + index] = part[index] ?? 0;
      }
      return bytes;
    },
    offsetAt: (index) => {
      const { round, template } = at(index);
      return template.offset + span * BigInt(round);
    },
    countUpTo: (offset) => {
      if (offset < first.offset) return 0;
      const round = (offset - first.offset) / span;
      const local = offset - round * span;
      const past = templates.findIndex((template) => template.offset > local);
      return Number(round) * templates.length + (past === -1 ? templates.length : past);
    },
  };
}

function transactionOf(bytes: Buffer): Transaction {
  const { update } = GetUpdatesResponse.decode(bytes);
  if (update?.$case !== 'transaction') throw new Error('A recording holds transactions only.');
  return update.value;
}

/** Ids that differ from round to round: of the update, and of the contracts it makes. What it refers to was made by an update of the recording, or is for ever. */
function idsIn({ updateId, events }: Transaction): string[] {
  return [updateId, ...events.flatMap(({ event }) => (event?.$case === 'created' ? [event.value.contractId] : []))];
}

function templateOf(bytes: Buffer, ids: ReadonlySet<string>): Template {
  const { offset, recordTime } = transactionOf(bytes);
  if (recordTime === undefined) throw new Error('A transaction without a record time.');
  const { seconds } = recordTime;
  const patches: Patch[] = [
    ...placesOf(bytes, varint(offset)).map((place): Patch => ({ at: place, kind: 'OFFSET' })),
    ...placesOf(bytes, varint(seconds)).map((place): Patch => ({ at: place, kind: 'SECONDS' })),
  ];
  const text = bytes.toString('latin1');
  for (const { index, 0: id } of text.matchAll(/(?:00|1220)[0-9a-f]{60,}/g)) {
    if (ids.has(id)) patches.push({ at: index + ID_DIGITS_AT, kind: 'ID' });
  }
  return { bytes, patches, offset, seconds };
}

function placesOf(bytes: Buffer, part: Buffer): number[] {
  const places: number[] = [];
  for (let place = bytes.indexOf(part); place !== -1; place = bytes.indexOf(part, place + part.length))
    places.push(place);
  return places;
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    if (rest <= 0x7fn) break;
  }
  if (bytes.length !== 5) throw new Error(`${value} does not take five bytes.`);
  return Buffer.from(bytes);
}
