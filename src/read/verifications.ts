/** What the last comparison of each treasury's books and holdings with the ledger found, and how old it is. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Instrument } from './instruments.ts';
import type { TreasuryParty } from './treasury-parties.ts';

export type Verification = {
  readonly treasury: TreasuryParty;
  /** Wall clock of the last round; null: none yet. */
  readonly triedAt: Micros | null;
  /** Why that round could not compare; null: it did, or there was none. */
  readonly trouble: string | null;
  /** Of the last round that could; null: none could. */
  readonly result: VerificationResult | null;
};

export type VerificationResult = {
  readonly checkedAt: Micros;
  readonly durationMs: number;
  readonly ledgerOffset: bigint;
  readonly isEqual: boolean;
  readonly isInDoubt: boolean;
  readonly holdingsCount: bigint;
  readonly offersCount: bigint;
  readonly instruments: readonly VerifiedInstrument[];
  readonly others: readonly ContractDifference[];
  readonly othersCount: bigint;
};

export type ContractDifference = { readonly kind: string; readonly contractId: string };

export type VerifiedInstrument = {
  readonly instrument: Instrument;
  /** Sums, as decimal text. */
  readonly onLedger: string;
  readonly inHoldings: string;
  readonly inBooks: string;
  readonly contractsCount: bigint;
  readonly isEqual: boolean;
  /** The first of what differs. */
  readonly differences: readonly ContractDifference[];
  readonly differingCount: bigint;
};

/** One per treasury party, by network and party, whether it was ever compared or not. Two statements of one snapshot. */
export async function readVerifications(db: Database): Promise<Verification[]> {
  return await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (tx) => {
      const { rows } = await sql<Row>`
        SELECT treasury_party.id, network.name AS network, treasury_party.party, treasury_party.name,
          seen.tried_at AS "triedAt", seen.trouble, seen.checked_at AS "checkedAt", seen.duration_ms AS "durationMs",
          seen.ledger_offset AS "ledgerOffset", seen.is_equal AS "isEqual", seen.is_in_doubt AS "isInDoubt",
          seen.holdings_count AS "holdingsCount", seen.offers_count AS "offersCount", seen.others, seen.others_count AS "othersCount"
        FROM treasury_party
        JOIN network ON network.id = treasury_party.network_id
        LEFT JOIN verification AS seen ON seen.treasury_id = treasury_party.id
        ORDER BY network.name, treasury_party.party`.execute(tx);
      const instruments = await sql<InstrumentRow>`
        SELECT seen.treasury_id AS "treasuryId", network.name AS network, instrument.admin, instrument.instrument_id AS "instrumentId",
          instrument.name, instrument.is_accepted AS "isAccepted", seen.on_ledger AS "onLedger", seen.in_holdings AS "inHoldings",
          seen.in_books AS "inBooks", seen.contracts_count AS "contractsCount", seen.differences, seen.differing_count AS "differingCount",
          seen.differing_count = 0 AND seen.in_holdings = seen.in_books AS "isEqual"
        FROM verification_instrument AS seen
        JOIN instrument ON instrument.id = seen.instrument_id
        JOIN network ON network.id = instrument.network_id
        ORDER BY instrument.admin, instrument.instrument_id`.execute(tx);
      const byTreasury = Map.groupBy(instruments.rows, ({ treasuryId }) => treasuryId);
      return rows.map((row) => verificationOf(row, (byTreasury.get(row.id) ?? []).map(instrumentOf)));
    });
}

type Nullable<T> = { readonly [Key in keyof T]: T[Key] | null };

type Row = TreasuryParty &
  Pick<Verification, 'triedAt' | 'trouble'> &
  Nullable<Omit<VerificationResult, 'instruments'>> & { readonly id: number };

type InstrumentRow = Instrument & Omit<VerifiedInstrument, 'instrument'> & { readonly treasuryId: number };

function verificationOf(row: Row, instruments: readonly VerifiedInstrument[]): Verification {
  const { network, party, name, triedAt, trouble } = row;
  const { checkedAt, durationMs, ledgerOffset, isEqual, isInDoubt, holdingsCount, offersCount, others } = row;
  return {
    treasury: { network, party, name },
    triedAt,
    trouble,
    result:
      checkedAt === null
        ? null
        : {
            checkedAt,
            durationMs: durationMs ?? 0,
            ledgerOffset: ledgerOffset ?? 0n,
            isEqual: isEqual === true,
            isInDoubt: isInDoubt !== false,
            holdingsCount: holdingsCount ?? 0n,
            offersCount: offersCount ?? 0n,
            instruments,
            others: others ?? [],
            othersCount: row.othersCount ?? 0n,
          },
  };
}

function instrumentOf({ network, admin, instrumentId, name, isAccepted, ...rest }: InstrumentRow): VerifiedInstrument {
  return { ...rest, instrument: { network, admin, instrumentId, name, isAccepted } };
}
