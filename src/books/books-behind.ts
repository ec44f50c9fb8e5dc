/** Whether what Sluice keeps of customers may be too much: the database was restored, and the post transfers that it lost may be missing. */
import { type RawBuilder, sql } from 'kysely';
import { BY_START, type ConfiguredBooks } from './books-mode.ts';

/**
 * A restore was noticed, and since then nobody has said that the post transfers were sent again, nor switched the books. What a process decided at its start is no person's word.
 *
 * @param networkId SQL of the statement it stands in.
 * @param configured of a process that was told `internal` its caller relies on Sluice, even where the database went back to before the switch and says otherwise.
 */
export function areBooksBehind(
  networkId: RawBuilder<unknown>,
  configured: ConfiguredBooks = 'external',
): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (
    SELECT FROM database_restore AS restore LEFT JOIN treasury_party AS restored ON restored.id = restore.treasury_id
    LEFT JOIN customer_books AS books ON books.network_id = ${networkId}
    WHERE (books.mode = 'INTERNAL' OR ${sql.lit(configured === 'internal')}) AND (restored.id IS NULL OR restored.network_id = ${networkId})
      AND restore.noticed_at > greatest(books.posts_whole_at, CASE WHEN books.changed_by <> ${sql.lit(BY_START)} THEN books.changed_at END, 0)
  )`;
}
