/** Transfer preapprovals of our own treasury parties, as their participants last showed them. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Instrument } from './instruments.ts';
import { ledgerKey } from './ledger-keys.ts';

export type TreasuryPreapproval = {
  readonly instrument: Instrument;
  /** Wall clock of the last look; null: none was ever answered. */
  readonly checkedAt: Micros | null;
  /** Why the last look was not answered; null: it was. */
  readonly trouble: string | null;
  readonly contractId: string | null;
  readonly provider: string | null;
  readonly validFrom: Micros | null;
  readonly lastRenewedAt: Micros | null;
  readonly expiresAt: Micros | null;
  /** The provider that an open proposal waits for. */
  readonly proposalProvider: string | null;
};

export type TreasuryKey = { readonly network: string; readonly party: string };

/** Per treasury, by admin and id; none where the directory has no Canton Coin. One statement. */
export async function readPreapprovals(
  db: Database,
  treasuries: readonly TreasuryKey[],
): Promise<readonly (readonly TreasuryPreapproval[])[]> {
  const { rows } = await sql<Row>`
    SELECT network.name AS network, treasury_party.party, instrument.admin, instrument.instrument_id AS "instrumentId",
      instrument.name AS "instrumentName", instrument.is_accepted AS "isAccepted",
      preapproval.checked_at AS "checkedAt", preapproval.trouble, preapproval.contract_id AS "contractId",
      preapproval.provider, preapproval.valid_from AS "validFrom", preapproval.last_renewed_at AS "lastRenewedAt",
      preapproval.expires_at AS "expiresAt", preapproval.proposal_provider AS "proposalProvider"
    FROM unnest(${treasuries.map(({ network }) => network)}::text[], ${treasuries.map(({ party }) => party)}::text[])
      AS wanted (network, party)
    JOIN network ON network.name = wanted.network
    JOIN treasury_party ON treasury_party.network_id = network.id AND treasury_party.party = wanted.party
    JOIN preapproval ON preapproval.treasury_id = treasury_party.id
    JOIN instrument ON instrument.id = preapproval.instrument_id
    ORDER BY instrument.admin, instrument.instrument_id`.execute(db);
  const byTreasury = Map.groupBy(rows, ({ network, party }) => ledgerKey(network, party));
  return treasuries.map(({ network, party }) => (byTreasury.get(ledgerKey(network, party)) ?? []).map(preapprovalOf));
}

type Row = Omit<TreasuryPreapproval, 'instrument'> &
  TreasuryKey & {
    readonly admin: string;
    readonly instrumentId: string;
    readonly instrumentName: string;
    readonly isAccepted: boolean;
  };

function preapprovalOf(row: Row): TreasuryPreapproval {
  const { network, party: _party, admin, instrumentId, instrumentName, isAccepted, ...rest } = row;
  return { ...rest, instrument: { network, admin, instrumentId, name: instrumentName, isAccepted } };
}
