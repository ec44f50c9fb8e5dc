/**
 * Deposit accounts: which memo stands for which customer's account. A deposit address is a treasury party and such a memo, and what it
 * stands for never changes: there is no removal, and a disabled memo is nobody else's. How it is treated may change (deposit-account-changes.ts).
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';
import { UNPRINTABLE } from '../env/storable-text.ts';
import type { JsonValue } from '../gen/db.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from '../read/page.ts';
import { type Reach, withinReach } from '../read/reach.ts';
import { depositAccountId, eventId } from '../tokens/ids.ts';

export type DepositAccount = {
  /** A function of network and memo. */
  readonly id: string;
  readonly network: string;
  readonly memo: string;
  /** The customer's account at the exchange. */
  readonly account: string;
  readonly createdAt: Micros;
  /** The principal's name. */
  readonly createdBy: string;
  /** RETIRED: another one is shown in its place, deposits still credit. DISABLED: deposits wait at the desk. */
  readonly state: 'ACTIVE' | 'RETIRED' | 'DISABLED';
  /** Id of the one that took its place; null: none did. */
  readonly replacedBy: string | null;
  /** The exchange's own; null: none was given. */
  readonly metadata: JsonValue;
};

export type NewDepositAccount = {
  /** null: the only one; refused when there are several. */
  readonly network: string | null;
  readonly account: string;
  /** null: a new random one. */
  readonly memo: string | null;
  /** Text by name, for the exchange's own use; null: none. A replay does not change it. */
  readonly metadata?: DepositMetadata | null;
  readonly createdBy: string;
};

export type DepositMetadata = Readonly<Record<string, string>>;

export type DepositAccounts = {
  /**
   * Registers a memo, and opens the customer's account with the first of it. The same memo for the same account again is a replay and
   * changes nothing; so a caller that brings its own memo may repeat a call whose answer it lost.
   *
   * @throws MemoTakenError, DepositInputError, NetworkUnknownError; nothing was written.
   */
  create(wanted: NewDepositAccount): Promise<{ readonly depositAccount: DepositAccount; readonly isReplayed: boolean }>;
};

/** An event of the log: a memo was registered. Its subject is the deposit account's id. */
export const DEPOSIT_ACCOUNT_CREATED = 'depositAccount.created';

type Advice = { readonly why: string; readonly fix: string };

/** The memo already stands for another account. Whose it is stays untold. */
export class MemoTakenError extends PermanentError {
  readonly advice: Advice = {
    why: 'A memo stands for one account for ever, or a customer who kept the old address would pay somebody else.',
    fix: 'Choose another memo, or leave it out and get a new one.',
  };
  constructor() {
    super('MEMO_TAKEN', 'The memo already stands for another account.');
  }
}

/** A memo or an account name we cannot take. */
export class DepositInputError extends PermanentError {
  readonly field: 'memo' | 'account' | 'metadata';
  readonly advice: Advice;
  constructor(field: DepositInputError['field'], message: string, advice: Advice) {
    super(`${field.toUpperCase()}_INVALID`, message);
    this.field = field;
    this.advice = advice;
  }
}

/** No such network here, or none named where there are several. */
export class NetworkUnknownError extends PermanentError {
  readonly advice: Advice;
  constructor(known: readonly string[], isNamed: boolean) {
    super(
      'NETWORK_UNKNOWN',
      isNamed ? 'This installation does not serve that network.' : 'Several networks are served: name one.',
    );
    const names = known.length === 0 ? 'none yet' : known.join(', ');
    this.advice = { why: 'Memos and accounts belong to one network.', fix: `Networks served here: ${names}.` };
  }
}

/** Bytes in UTF-8. Of a memo the limit of the table, far above what senders' wallets let a user type; of an account what withdrawals and post transfers take, or who is credited could not get at it. */
const TEXT_BYTES_MAX = { memo: 256, account: 255 } as const;
/** What cannot be stored, and U+FFFD, which stands for it where it came all the same (src/env/storable-text.ts); of an account what withdrawals and post transfers do not take. */
const UNFIT = {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  memo: /[\u0000-\u001f\ufffd]/,
  account: UNPRINTABLE,
} as const;
const MEMO_RANDOM_BYTES = 10; // 80 bits: a guessed memo hits nobody, and a collision is refused anyway.
/** Without I, L, O and U: people read memos aloud and copy them by hand (Crockford's base 32). */
const MEMO_ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

export function createDepositAccounts(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
}): DepositAccounts {
  const { db, clock, random } = options;
  return {
    create: async (wanted) => {
      checkText('account', wanted.account);
      if (wanted.memo !== null) checkText('memo', wanted.memo);
      const metadata = metadataText(wanted.metadata ?? null);
      const memo = wanted.memo ?? randomMemo(random);
      const createdAt = clock.nowMicros();
      return await db.transaction().execute(async (tx) => {
        const network = await findNetwork(tx, wanted.network);
        const id = depositAccountId(network.name, memo);
        const accountId = await openAccount(tx, network.id, wanted.account);
        const inserted = await tx
          .insertInto('deposit_account')
          .values({
            id,
            network_id: network.id,
            memo,
            account_id: accountId,
            created_at: createdAt,
            created_by: wanted.createdBy,
            metadata,
          })
          .onConflict((conflict) => conflict.doNothing())
          .returning('id')
          .executeTakeFirst();
        // A statement of its own: where somebody else was faster, the insert waited for his commit, and only a new snapshot sees it.
        const [depositAccount] = await readDepositAccountsIn(tx, [id]);
        if (depositAccount == null || depositAccount.account !== wanted.account) throw new MemoTakenError();
        if (inserted !== undefined) await announceCreated(tx, depositAccount);
        return { depositAccount, isReplayed: inserted === undefined };
      });
    },
  };
}

/** One result per id, in the order of `ids`; null where there is none. */
export async function readDepositAccounts(db: Database, ids: readonly string[]): Promise<(DepositAccount | null)[]> {
  return await readDepositAccountsIn(db, ids);
}

export type DepositAccountFilter = { readonly account: string | null; readonly memo: string | null };

export const keyOfDepositAccount = (depositAccount: DepositAccount): PageKey => [depositAccount.id];

/** By id. */
export async function listDepositAccounts(
  db: Database,
  reach: Reach,
  { account, memo }: DepositAccountFilter,
  page: PageRequest,
): Promise<Page<DepositAccount>> {
  const keyset = keysetOf([sql`deposit_account.id`], 'ascending', page);
  const accountCondition =
    account === null
      ? sql`true`
      : sql`deposit_account.account_id = ANY (ARRAY(
          SELECT wanted.id FROM account AS wanted WHERE wanted.kind = 'CUSTOMER' AND wanted.owner = ${account}
        ))`;
  const memoCondition =
    memo === null
      ? sql`true`
      : sql`(deposit_account.network_id, deposit_account.memo) IN (SELECT wanted.id, ${memo}::text FROM network AS wanted)`;
  const { rows } = await sql<DepositAccount>`
    ${SELECT_DEPOSIT_ACCOUNTS}
    WHERE ${keyset.where} AND ${accountCondition} AND ${memoCondition} AND ${withinReach(reach, sql`deposit_account.account_id`)}
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(rows, page);
}

/** All deposit accounts of the given customers' accounts, up to `limit` each, by id. */
export async function readDepositAccountsOf(
  db: Database,
  accounts: readonly { readonly network: string; readonly owner: string }[],
  limit: number,
): Promise<DepositAccount[]> {
  const { rows } = await sql<DepositAccount>`
    SELECT found.id, network.name AS network, found.memo, account.owner AS account, found.created_at AS "createdAt",
      found.created_by AS "createdBy", found.state, found.replaced_by AS "replacedBy", found.metadata
    FROM (SELECT DISTINCT * FROM unnest(
      ${accounts.map((account) => account.network)}::text[],
      ${accounts.map((account) => account.owner)}::text[]
    ) AS wanted (network, owner)) AS wanted
    JOIN network ON network.name = wanted.network
    JOIN account ON account.network_id = network.id AND account.kind = 'CUSTOMER' AND account.owner = wanted.owner
    CROSS JOIN LATERAL (
      SELECT * FROM deposit_account WHERE deposit_account.account_id = account.id ORDER BY id LIMIT ${limit}::int
    ) AS found
    ORDER BY found.id
  `.execute(db);
  return rows;
}

const SELECT_DEPOSIT_ACCOUNTS = sql`
  SELECT deposit_account.id, network.name AS network, deposit_account.memo, account.owner AS account,
    deposit_account.created_at AS "createdAt", deposit_account.created_by AS "createdBy", deposit_account.state,
    deposit_account.replaced_by AS "replacedBy", deposit_account.metadata
  FROM deposit_account
  JOIN network ON network.id = deposit_account.network_id
  JOIN account ON account.id = deposit_account.account_id
`;

export async function readDepositAccountsIn(
  db: Database | Transaction,
  ids: readonly string[],
): Promise<(DepositAccount | null)[]> {
  const { rows } = await sql<DepositAccount>`
    ${SELECT_DEPOSIT_ACCOUNTS} WHERE deposit_account.id = ANY (${[...ids]}::text[])
  `.execute(db);
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => byId.get(id) ?? null);
}

async function findNetwork(tx: Transaction, name: string | null): Promise<{ id: number; name: string }> {
  const networks = await tx.selectFrom('network').select(['id', 'name']).orderBy('name').execute();
  const found =
    name === null && networks.length === 1 ? networks[0] : networks.find((network) => network.name === name);
  if (found === undefined) {
    const known = networks.map((network) => network.name);
    throw new NetworkUnknownError(known, name !== null);
  }
  return found;
}

async function openAccount(tx: Transaction, networkId: number, owner: string): Promise<bigint> {
  await tx
    .insertInto('account')
    .values({ network_id: networkId, kind: 'CUSTOMER', owner })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const { id } = await tx
    .selectFrom('account')
    .select('id')
    .where('network_id', '=', networkId)
    .where('kind', '=', 'CUSTOMER')
    .where('owner', '=', owner)
    .executeTakeFirstOrThrow();
  return id;
}

/** Tells the log of a new one. */
export async function announceCreated(tx: Transaction, created: DepositAccount): Promise<void> {
  const { id, network, memo, account, createdBy, createdAt } = created;
  await appendEvents(tx, [
    {
      eventId: eventId(DEPOSIT_ACCOUNT_CREATED, id, ''),
      type: DEPOSIT_ACCOUNT_CREATED,
      subject: id,
      payload: { depositAccountId: id, network, memo, account, createdBy },
      recordedAt: createdAt,
    },
  ]);
}

/**
 * Any text a sender's wallet could carry, but no control characters: PostgreSQL refuses NUL, and nobody can type the others. Nor U+FFFD, which stands for what cannot be stored.
 * @throws DepositInputError.
 */
export function checkText(field: 'memo' | 'account', text: string): void {
  const bytes = Buffer.byteLength(text, 'utf8');
  const bytesMax = TEXT_BYTES_MAX[field];
  if (bytes < 1 || bytes > bytesMax) {
    throw new DepositInputError(field, `The ${field} must have 1 to ${bytesMax} bytes in UTF-8.`, {
      why: `It has ${bytes} bytes.`,
      fix: bytes === 0 ? 'Leave the memo out to get a new one; an account cannot be empty.' : 'Shorten it.',
    });
  }
  if (!text.isWellFormed() || UNFIT[field].test(text)) {
    throw new DepositInputError(field, `The ${field} has characters that cannot be stored.`, {
      why: 'Control characters (U+0000 to U+001F), lone surrogates and what stands for them (U+FFFD) cannot travel from a wallet to the database unchanged; an account has no U+007F either.',
      fix: 'Use text that can be typed.',
    });
  }
}

const METADATA_BYTES_MAX = 4_096;

/** @returns JSON text; null: none. @throws DepositInputError. */
export function metadataText(metadata: DepositMetadata | null): string | null {
  if (metadata === null) return null;
  const isText = Object.entries(metadata)
    .flat()
    .every((text) => typeof text === 'string' && text.isWellFormed() && !text.includes('\0'));
  const json = JSON.stringify(metadata);
  if (isText && Buffer.byteLength(json, 'utf8') <= METADATA_BYTES_MAX) return json;
  throw new DepositInputError('metadata', 'The metadata cannot be kept.', {
    why: `It is text by name, at most ${METADATA_BYTES_MAX} bytes as JSON, without U+0000 and lone surrogates.`,
    fix: 'Keep long things in your own database, and their key here.',
  });
}

/** @returns 16 characters. */
export function randomMemo(random: Random): string {
  let bits = 0n;
  for (const byte of random.bytes(MEMO_RANDOM_BYTES)) bits = (bits << 8n) | BigInt(byte);
  let memo = '';
  for (let shift = BigInt(MEMO_RANDOM_BYTES) * 8n - 5n; shift >= 0n; shift -= 5n) {
    memo += MEMO_ALPHABET[Number((bits >> shift) & 31n)];
  }
  return memo;
}
