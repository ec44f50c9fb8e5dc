/**
 * Many memos at once, by COPY. Each portion is one transaction, and registering is idempotent, so an import that died is simply run again: what is there is found,
 * the rest is added. A memo that stands for another account, in the database or further up in the same list, is refused and reported; the others go in.
 */
import type pg from 'pg';
import { copyIn } from '../db/copy-in.ts';
import { databaseErrorOf } from '../db/errors.ts';
import { OUTBOX_CHANNEL, UNNUMBERED_CHANNEL } from '../db/event-log.ts';
import type { Clock } from '../env/clock.ts';
import { depositAccountId, eventId } from '../tokens/ids.ts';
import { checkText, DEPOSIT_ACCOUNT_CREATED, type DepositMetadata, metadataText } from './deposit-accounts.ts';

export type ImportedRow = {
  /** Of the file, from 1. */
  readonly line: number;
  readonly account: string;
  readonly memo: string;
  readonly metadata: DepositMetadata | null;
};

export type ImportResult = {
  readonly added: number;
  /** Registered before, for the same account. */
  readonly known: number;
  /** Lines whose memo stands for another account. */
  readonly refused: readonly number[];
};

/** Rows of one transaction: some seconds, and a few megabytes. */
export const IMPORT_PORTION_MAX = 10_000;

/** @throws DepositInputError for a memo, an account or metadata that cannot be kept. */
export function checkImported({ account, memo, metadata }: ImportedRow): void {
  checkText('account', account);
  checkText('memo', memo);
  metadataText(metadata);
}

/**
 * Registers one portion.
 * @param rows checked, at most {@link IMPORT_PORTION_MAX}.
 * @throws as the database does; nothing of the portion was written.
 */
export async function importDepositAccounts(
  client: pg.Client,
  rows: readonly ImportedRow[],
  parts: {
    readonly network: { readonly id: number; readonly name: string };
    readonly by: string;
    readonly clock: Clock;
  },
): Promise<ImportResult> {
  const { network, by, clock } = parts;
  try {
    await client.query('BEGIN');
    await client.query(`CREATE TEMPORARY TABLE imported (
      line integer, id text, memo text, account text, metadata jsonb, event_id text) ON COMMIT DROP`);
    await copyIn(
      client,
      'COPY imported (line, id, memo, account, metadata, event_id) FROM STDIN',
      rows.map(({ line, account, memo, metadata }) => {
        const id = depositAccountId(network.name, memo);
        return [String(line), id, memo, account, metadataText(metadata), eventId(DEPOSIT_ACCOUNT_CREATED, id, '')];
      }),
    );
    await client.query('ANALYZE imported');
    const added = await insert(client, network, { by, nowMicros: clock.nowMicros().toString() });
    const refused = await client.query<{ line: number }>(
      `SELECT i.line FROM imported i JOIN deposit_account d ON d.id = i.id JOIN account a ON a.id = d.account_id
       WHERE a.owner <> i.account ORDER BY i.line`,
    );
    await client.query('COMMIT');
    return {
      added,
      known: rows.length - added - refused.rows.length,
      refused: refused.rows.map(({ line }) => line),
    };
  } catch (error) {
    // A connection that is gone has rolled back by itself.
    await client.query('ROLLBACK').catch(() => undefined);
    throw databaseErrorOf(error);
  }
}

/** Sorted, so that two imports that open the same accounts wait for each other and do not deadlock. @returns how many memos were new. */
async function insert(
  client: pg.Client,
  network: { readonly id: number; readonly name: string },
  { by, nowMicros }: { readonly by: string; readonly nowMicros: string },
): Promise<number> {
  // Of several lines with one memo the first counts; a refused one opens no account.
  await client.query(`CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS
    SELECT DISTINCT ON (i.id) i.* FROM imported i WHERE NOT EXISTS (SELECT FROM deposit_account d WHERE d.id = i.id)
    ORDER BY i.id, i.line`);
  await client.query(
    `INSERT INTO account (network_id, kind, owner) SELECT DISTINCT $1::smallint, 'CUSTOMER', account FROM fresh ORDER BY 3
     ON CONFLICT DO NOTHING`,
    [network.id],
  );
  const { rows } = await client.query<{ added: number }>(
    `WITH added AS (
       INSERT INTO deposit_account (id, network_id, memo, account_id, created_at, created_by, metadata)
       SELECT f.id, $1::smallint, f.memo, a.id, $2::bigint, $3, f.metadata
       FROM fresh f JOIN account a ON a.network_id = $1::smallint AND a.kind = 'CUSTOMER' AND a.owner = f.account
       ORDER BY f.id ON CONFLICT DO NOTHING RETURNING id
     ), told AS (
       INSERT INTO event_outbox (event_id, type, subject, payload, recorded_at)
       SELECT f.event_id, $4, f.id, jsonb_build_object('depositAccountId', f.id, 'network', $5::text, 'memo', f.memo,
         'account', f.account, 'createdBy', $3::text), $2::bigint
       FROM fresh f JOIN added USING (id) ORDER BY f.line
       ON CONFLICT (event_id) DO NOTHING
     )
     SELECT count(*)::int AS added FROM added`,
    [network.id, nowMicros, by, DEPOSIT_ACCOUNT_CREATED, network.name],
  );
  await client.query(`SELECT pg_notify($1, ''), pg_notify($2, '')`, [OUTBOX_CHANNEL, UNNUMBERED_CHANNEL]);
  return rows[0]?.added ?? 0;
}
