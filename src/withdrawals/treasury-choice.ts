/** Which treasury pays a request that names none: the fullest that has enough. A transfer has one sender, so what lies in several treasuries is not enough together. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { isFrozen } from '../ingestion/freezes.ts';
import { IS_PAST } from '../submissions/attempts.ts';
import { isHalted } from '../submissions/halts.ts';
import { type Amount, formatAmount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { IS_LOCKED } from './free-holdings.ts';

export type TreasuryChoice =
  | { readonly kind: 'CHOSEN'; readonly party: string }
  /** `held`: what each has that is promised to nobody, fullest first. */
  | { readonly kind: 'NONE'; readonly held: readonly { readonly name: string; readonly amount: string }[] };

/**
 * Counts what a treasury will have when all that is under way and waiting is paid. Those under a freeze or a halt come last. Where only one treasury is served it is chosen whatever it holds: a request waits
 * there for funds, as one that names it does.
 */
export async function chooseTreasury(
  tx: Transaction,
  network: string,
  instrument: Instrument,
  amount: Amount,
): Promise<TreasuryChoice> {
  const { rows } = await sql<{ party: string; name: string; spare: string; isEnough: boolean; isKnown: boolean }>`
    SELECT t.party, t.name, funds.spare::text AS spare, funds.spare >= ${formatAmount(amount)}::numeric AS "isEnough", i.id IS NOT NULL AS "isKnown"
    FROM treasury_party t
    JOIN network n ON n.id = t.network_id
    LEFT JOIN instrument i ON i.network_id = n.id AND i.admin = ${instrument.admin} AND i.instrument_id = ${instrument.id}
    CROSS JOIN LATERAL (
      SELECT (SELECT coalesce(sum(holding.amount::numeric), 0) FROM holding
          WHERE holding.treasury_id = t.id AND holding.instrument_id = i.id AND holding.archived_update_id IS NULL AND NOT ${IS_LOCKED})
        - (SELECT coalesce(sum(w.amount::numeric), 0) FROM withdrawal w
          WHERE w.treasury_id = t.id AND w.instrument_id = i.id AND w.state = 'QUEUED')
        -- What an attempt past its target still holds, because its end cannot be decided, is nothing to count on: neither that it pays, nor that it leaves the rest.
        - (SELECT coalesce(sum(CASE WHEN ${IS_PAST} THEN (
            SELECT coalesce(sum(held.amount::numeric), 0) FROM reservation r JOIN holding held ON held.treasury_id = r.treasury_id AND held.contract_id = r.contract_id
            WHERE r.submission_id = a.submission_id AND r.number = a.number AND r.is_open AND held.archived_update_id IS NULL
          ) ELSE w.amount::numeric END), 0)
          FROM attempt a JOIN submission s ON s.id = a.submission_id JOIN withdrawal w ON w.id = s.withdrawal_id
          WHERE a.state = 'OPEN' AND s.treasury_id = t.id AND s.instrument_id = i.id) AS spare
    ) AS funds
    WHERE n.name = ${network}
    ORDER BY ${isFrozen(sql`t.id`, sql`i.id`)} OR ${isHalted(sql`t.id`, sql`i.id`)}, funds.spare DESC, t.party`.execute(
    tx,
  );
  const [first, ...others] = rows;
  // An instrument that is not known is refused as that.
  const chosen = others.length === 0 || first?.isKnown === false ? first : rows.find(({ isEnough }) => isEnough);
  if (chosen !== undefined) return { kind: 'CHOSEN', party: chosen.party };
  return { kind: 'NONE', held: rows.map(({ name, spare }) => ({ name, amount: spare })) };
}
