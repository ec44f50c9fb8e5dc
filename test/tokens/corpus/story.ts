/**
 * What an update did to one party, told in lines that people can write and two implementations can be compared by. A transfer is told as `u<update>.<rank>`.
 *
 *   `DIRECT IN COMPLETED 200 Amulet (+200) from alice "acct-1"`   a transfer seen for the first time, and what the holdings gained by it here
 *   `u0.0 → COMPLETED (+200)`                                     what became of an earlier one
 *   `opens 00offer IN of u0.0` · `ends 00offer ACCEPTED`          contracts of offers
 *   `gains 00cid 200 Amulet` · `locked` · `loses 00cid`           holdings
 *   `! UNSIGNED_HOLDING 00cid`                                    what an operator should look at
 */
import type { UpdateEffects } from '../../../src/tokens/update-effects.ts';

export type Told = {
  readonly kind: string;
  readonly direction: string;
  readonly status: string;
  readonly units: bigint;
  readonly deltaUnits: bigint;
  readonly instrument: { readonly admin: string; readonly id: string };
  readonly counterparty: string | null;
  readonly memo: string | null;
};

export type Story = {
  readonly movements: readonly Told[];
  readonly progress: readonly { readonly of: string; readonly status: string; readonly deltaUnits: bigint }[];
  readonly opened: readonly {
    readonly cid: string;
    readonly original: string;
    readonly of: string;
    readonly direction: string;
  }[];
  readonly ended: readonly { readonly cid: string; readonly status: string }[];
  readonly gained: readonly {
    readonly cid: string;
    readonly units: bigint;
    readonly instrument: { readonly admin: string; readonly id: string };
    readonly isLocked: boolean;
  }[];
  readonly lost: readonly string[];
  readonly anomalies: readonly { readonly code: string; readonly cid: string }[];
};

/** @param nameOf how a transfer id is told. */
export function storyOf(effects: UpdateEffects, nameOf: (transferId: string) => string): Story {
  return {
    movements: effects.movements.map(
      ({ kind, direction, status, amount, holdingsDelta, instrument, counterparty, memo }) => ({
        kind,
        direction,
        status,
        units: amount,
        deltaUnits: holdingsDelta,
        instrument,
        counterparty,
        memo,
      }),
    ),
    progress: effects.progress.map(({ transferId, status, holdingsDelta }) => ({
      of: nameOf(transferId),
      status,
      deltaUnits: holdingsDelta,
    })),
    opened: effects.instructionsOpened.map(({ contractId, originalContractId, transferId, direction }) => ({
      cid: contractId,
      original: originalContractId,
      of: nameOf(transferId),
      direction,
    })),
    ended: effects.instructionsEnded.map(({ contractId, status }) => ({ cid: contractId, status })),
    gained: effects.holdingsCreated.map(({ contractId, amount, instrument, lock }) => ({
      cid: contractId,
      units: amount,
      instrument,
      isLocked: lock !== null,
    })),
    lost: effects.holdingsArchived,
    anomalies: effects.anomalies.map(({ code, contractId }) => ({ code, cid: contractId })),
  };
}

export function linesOf({ movements, progress, opened, ended, gained, lost, anomalies }: Story): string[] {
  return [
    ...movements.map((told) => {
      const end = told.direction === 'OUT' ? 'to' : 'from';
      const who = told.direction === 'SELF' ? 'self' : `${end} ${hint(told.counterparty)}`;
      const amounts = `${plain(told.units)} ${instrumentName(told.instrument)} (${signed(told.deltaUnits)})`;
      return `${told.kind} ${told.direction} ${told.status} ${amounts} ${who} ${JSON.stringify(told.memo)}`;
    }),
    ...progress.map(({ of, status, deltaUnits }) => `${of} → ${status} (${signed(deltaUnits)})`),
    ...opened.map(
      ({ cid, original, of, direction }) =>
        `opens ${cid} ${direction} of ${of}${original === cid ? '' : ` after ${original}`}`,
    ),
    ...ended.map(({ cid, status }) => `ends ${cid} ${status}`),
    ...gained.map(
      ({ cid, units, instrument, isLocked }) =>
        `gains ${cid} ${plain(units)} ${instrumentName(instrument)}${isLocked ? ' locked' : ''}`,
    ),
    ...lost.map((cid) => `loses ${cid}`),
    ...anomalies.map(({ code, cid }) => `! ${code} ${cid}`),
  ];
}

function hint(party: string | null): string {
  return party === null ? '?' : (party.split('::')[0] ?? party);
}

/** By the id alone, except where another admin uses the id of Canton Coin. */
function instrumentName({ admin, id }: { readonly admin: string; readonly id: string }): string {
  return id === 'Amulet' && !admin.startsWith('DSO::') ? `Amulet@${hint(admin)}` : id;
}

function signed(units: bigint): string {
  return units > 0n ? `+${plain(units)}` : plain(units);
}

/** Without trailing zeros. */
function plain(units: bigint): string {
  const digits = (units < 0n ? -units : units).toString().padStart(11, '0');
  const fraction = digits.slice(-10).replace(/0+$/, '');
  return `${units < 0n ? '-' : ''}${digits.slice(0, -10)}${fraction === '' ? '' : `.${fraction}`}`;
}
