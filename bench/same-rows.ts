/** Whether two ways of writing wrote the same: what the tables hold that follows from the first updates of the ledger. */
import type pg from 'pg';

/** Counts and sums over everything that the first `count` updates brought, whatever else is there. Comparable as text. */
export async function fingerprint(client: pg.Client, count: number): Promise<string> {
  const { rows } = await client.query(
    `WITH first AS (SELECT update_id, received FROM ledger_update ORDER BY ledger_offset LIMIT $1)
     SELECT (SELECT count(*) || '/' || sum(octet_length(received)) FROM first) AS updates,
       (SELECT count(*) || '/' || sum(amount) FROM holding WHERE created_update_id IN (SELECT update_id FROM first)) AS holdings,
       (SELECT count(*) FROM holding WHERE archived_update_id IN (SELECT update_id FROM first)) AS spent,
       (SELECT count(*) || '/' || sum(amount) FROM transfer WHERE update_id IN (SELECT update_id FROM first)) AS transfers,
       (SELECT count(*) FROM transfer WHERE concluded_update_id IN (SELECT update_id FROM first)) AS concluded,
       (SELECT count(*) FROM transfer_instruction WHERE created_update_id IN (SELECT update_id FROM first)) AS offers,
       (SELECT count(*) FROM attribution a JOIN transfer t ON t.id = a.transfer_id WHERE t.concluded_update_id IN (SELECT update_id FROM first)) AS attributions,
       (SELECT count(*) || '/' || sum(p.amount) FROM journal_entry e JOIN posting p ON p.entry_id = e.id
        WHERE split_part(e.cause, ':', 3) IN (SELECT update_id FROM first)) AS postings,
       (SELECT count(*) FROM event_outbox WHERE payload->>'updateId' IN (SELECT update_id FROM first)) AS events`,
    [count],
  );
  return JSON.stringify(rows[0]);
}
