/** What is to be thought of a participant's traffic, from its newest readings. Pure. */
import { type Micros, millisToMicros } from '../env/clock.ts';
import type { TrafficLeft } from '../submissions/traffic-readings.ts';

/**
 * `ENOUGH`; `LOW`: at the burn of the last hour it reaches the reserve soon; `RESERVED`: below the reserve, so nothing is submitted; `BASE_RATE`: no extra traffic was ever bought, and what the base rate has left
 * nobody says; `UNKNOWN`: not read for a while.
 */
export type TrafficState = 'ENOUGH' | 'LOW' | 'RESERVED' | 'BASE_RATE' | 'UNKNOWN';

export type TrafficHealth = {
  readonly state: TrafficState;
  /** Until the reserve is reached at the burn of the last hour, whole ones; null: nothing burns, or it is not known. */
  readonly hoursLeft: number | null;
  /** For people; null: nothing to see to. */
  readonly alarm: string | null;
};

export type TrafficLimits = {
  /** Bytes. */
  readonly reserve: bigint;
  /** Fewer hours than this are worth a warning; a person has to be able to buy more before. */
  readonly hoursMin: number;
};

export const HOURS_LEFT_MIN = 24;
const AGE_MS_MAX = 600_000; // Ten readings missed.
const HOURS_MAX = 87_600n; // Ten years: beyond that the burn is none.

export function trafficHealthOf(
  traffic: TrafficLeft,
  { reserve, hoursMin }: TrafficLimits,
  now: Micros,
): TrafficHealth {
  const { participant, readAt, balance, left, isBought, burnPerHour } = traffic;
  const spare = balance - reserve;
  const hours = burnPerHour === null || burnPerHour === 0n ? null : spare <= 0n ? 0n : spare / burnPerHour;
  const hoursLeft = !isBought || hours === null || hours > HOURS_MAX ? null : Number(hours);
  if (now - readAt > millisToMicros(AGE_MS_MAX)) {
    return {
      state: 'UNKNOWN',
      hoursLeft,
      alarm: `The traffic of ${participant} was not read for more than ten minutes.`,
    };
  }
  if (!isBought) return { state: 'BASE_RATE', hoursLeft: null, alarm: null };
  if (left < reserve) {
    const alarm = `The traffic of ${participant} is down to its reserve (${balance} bytes left, ${reserve} kept): nothing is submitted until more is bought.`;
    return { state: 'RESERVED', hoursLeft, alarm };
  }
  if (hoursLeft !== null && hoursLeft < hoursMin) {
    const alarm = `The traffic of ${participant} lasts for ${hoursLeft} more hours (${balance} bytes left): buy more.`;
    return { state: 'LOW', hoursLeft, alarm };
  }
  return { state: 'ENOUGH', hoursLeft, alarm: null };
}
