/** How the reference tells a movement, and the sums it does it with. */
import type { Told } from '../corpus/story.ts';
import type { Instrument, Transfer } from './ledger-values.ts';

export type Change = {
  readonly node: number;
  readonly cid: string;
  readonly instrument: Instrument;
  readonly units: bigint;
};
const UNITS_BOUND = 10n ** 38n;

export function bare(kind: string, instrument: Instrument, sum: bigint): Told {
  const direction = sum > 0n ? 'IN' : sum < 0n ? 'OUT' : 'SELF';
  const status = 'COMPLETED';
  return { kind, direction, status, units: absolute(sum), deltaUnits: sum, instrument, counterparty: null, memo: null };
}

export function toldOf(kind: string, transfer: Transfer, party: string, sum: bigint, units: bigint): Told {
  const direction = directionOf(transfer, party);
  const counterparty = direction === 'SELF' ? null : direction === 'IN' ? transfer.sender : transfer.receiver;
  const { instrument, memo } = transfer;
  return { kind, direction, status: 'COMPLETED', units, deltaUnits: sum, instrument, counterparty, memo };
}

export function directionOf({ sender, receiver }: Transfer, party: string): string {
  return sender === receiver ? 'SELF' : receiver === party ? 'IN' : 'OUT';
}

/** One movement for each of `changes`, or for as many of them as one amount can hold. */
export function partsOf(changes: readonly Change[], kind: string, isApart = false): { node: number; told: Told }[] {
  const parts: { node: number; instrument: Instrument; units: bigint }[] = [];
  for (const { node, instrument, units } of changes) {
    const last = parts.at(-1);
    if (!isApart && last && fits(last.units + units)) last.units += units;
    else parts.push({ node, instrument, units });
  }
  return parts
    .filter(({ units }) => units !== 0n)
    .map(({ node, instrument, units }) => ({ node, told: bare(kind, instrument, units) }));
}

export function sumOf(parts: readonly { readonly units: bigint }[]): bigint {
  return parts.reduce((sum, { units }) => sum + units, 0n);
}

export function fits(units: bigint): boolean {
  return absolute(units) < UNITS_BOUND;
}

export function absolute(units: bigint): bigint {
  return units < 0n ? -units : units;
}
