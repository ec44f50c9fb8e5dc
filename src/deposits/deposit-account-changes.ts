/**
 * What may change about a deposit account: how it is treated, never whose it is.
 *
 *   ACTIVE    it is shown, and its deposits are credited.
 *   RETIRED   rotated: another memo is shown in its place. Customers keep old addresses for years, so its deposits are credited all the same.
 *   DISABLED  its deposits wait at the desk, with a note whose memo it was. Nobody else ever gets it.
 */
import type { Database, Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { assert, PermanentError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';
import { depositAccountId, eventId } from '../tokens/ids.ts';
import {
  announceCreated,
  checkText,
  type DepositAccount,
  MemoTakenError,
  randomMemo,
  readDepositAccountsIn,
} from './deposit-accounts.ts';

export type DepositAccountChanges = {
  /** @throws DepositAccountRefusal; harmless when repeated. */
  disable(wanted: { readonly id: string; readonly by: string }): Promise<DepositAccount>;
  /** Back to how it was before it was disabled. @throws DepositAccountRefusal; harmless when repeated. */
  enable(wanted: { readonly id: string; readonly by: string }): Promise<DepositAccount>;
  /**
   * Gives the customer's account another memo in the place of this one.
   * @param wanted.memo null: a new random one; then a repeated call finds the one that took its place.
   * @returns the new one. @throws DepositAccountRefusal, MemoTakenError, DepositInputError: nothing was changed.
   */
  rotate(wanted: {
    readonly id: string;
    readonly memo: string | null;
    readonly by: string;
  }): Promise<{ readonly depositAccount: DepositAccount; readonly isReplayed: boolean }>;
};

/** An event of the log: a memo is treated in another way. Its subject is the deposit account's id. */
export const DEPOSIT_ACCOUNT_CHANGED = 'depositAccount.changed';

const REFUSALS = {
  DEPOSIT_ACCOUNT_UNKNOWN: {
    message: 'There is no such deposit account.',
    why: 'Only what was registered can change.',
    fix: 'Look it up with `depositAccounts`.',
  },
  DEPOSIT_ACCOUNT_ROTATED: {
    message: 'Another one took its place already.',
    why: 'A memo is replaced once; the replacement can be replaced in turn.',
    fix: 'Rotate the one that took its place.',
  },
  DEPOSIT_ACCOUNT_DISABLED: {
    message: 'It is disabled.',
    why: 'Its deposits wait at the desk on purpose, and a replacement would credit them again.',
    fix: 'Enable it first, or register another memo for the account.',
  },
  REPLACEMENT_NOT_ACTIVE: {
    message: 'The memo that was to take its place is rotated or disabled itself.',
    why: 'The customer would be left without an address to show.',
    fix: 'Give a new memo, or leave it out and get one.',
  },
} as const;

export class DepositAccountRefusal extends PermanentError {
  readonly advice: { readonly why: string; readonly fix: string };
  constructor(code: keyof typeof REFUSALS) {
    const { message, ...advice } = REFUSALS[code];
    super(code, message);
    this.advice = advice;
  }
}

export function createDepositAccountChanges({
  db,
  clock,
  random,
}: {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
}): DepositAccountChanges {
  return {
    disable: async ({ id, by }) =>
      await db.transaction().execute(async (tx) => {
        await lock(tx, id);
        return await treat(tx, id, { state: 'DISABLED', by, nowMicros: clock.nowMicros() });
      }),
    enable: async ({ id, by }) =>
      await db.transaction().execute(async (tx) => {
        const { state, replaced_by } = await lock(tx, id);
        if (state !== 'DISABLED') return await read(tx, id);
        const before = replaced_by === null ? 'ACTIVE' : 'RETIRED';
        return await treat(tx, id, { state: before, by, nowMicros: clock.nowMicros() });
      }),
    rotate: async ({ id, memo, by }) => {
      if (memo !== null) checkText('memo', memo);
      return await db.transaction().execute(async (tx) => {
        const old = await lock(tx, id);
        const replacement = depositAccountId(old.network, memo ?? randomMemo(random));
        if (old.replaced_by !== null) {
          if (memo !== null && old.replaced_by !== replacement)
            throw new DepositAccountRefusal('DEPOSIT_ACCOUNT_ROTATED');
          return { depositAccount: await read(tx, old.replaced_by), isReplayed: true };
        }
        if (old.state === 'DISABLED') throw new DepositAccountRefusal('DEPOSIT_ACCOUNT_DISABLED');
        return { depositAccount: await replace(tx, old, memo, by), isReplayed: false };
      });
    },
  };

  async function replace(tx: Transaction, old: Locked, memo: string | null, by: string): Promise<DepositAccount> {
    const wanted = memo ?? randomMemo(random);
    const id = depositAccountId(old.network, wanted);
    const nowMicros = clock.nowMicros();
    const values = {
      id,
      network_id: old.network_id,
      memo: wanted,
      account_id: old.account_id,
      created_at: nowMicros,
      created_by: by,
    };
    const inserted = await tx
      .insertInto('deposit_account')
      .values(values)
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    const [depositAccount] = await readDepositAccountsIn(tx, [id]);
    // The customer's own other memo will do; somebody else's will not, nor the very one that is to be replaced.
    if (depositAccount == null || depositAccount.account !== old.account || id === old.id) throw new MemoTakenError();
    // Under its lock: two that rotate at once must not take each other's place.
    if ((await lock(tx, id)).state !== 'ACTIVE') throw new DepositAccountRefusal('REPLACEMENT_NOT_ACTIVE');
    if (inserted.numInsertedOrUpdatedRows === 1n) await announceCreated(tx, depositAccount);
    await tx.updateTable('deposit_account').set({ replaced_by: id }).where('id', '=', old.id).execute();
    await treat(tx, old.id, { state: 'RETIRED', by, nowMicros });
    return depositAccount;
  }
}

type Locked = {
  readonly id: string;
  readonly network_id: number;
  readonly network: string;
  readonly account_id: bigint;
  readonly account: string;
  readonly state: DepositAccount['state'];
  readonly replaced_by: string | null;
};

async function lock(tx: Transaction, id: string): Promise<Locked> {
  const isText = id.isWellFormed() && !id.includes('\0');
  const row = isText
    ? await tx
        .selectFrom('deposit_account as d')
        .innerJoin('network as n', 'n.id', 'd.network_id')
        .innerJoin('account as a', 'a.id', 'd.account_id')
        .select([
          'd.id',
          'd.network_id',
          'n.name as network',
          'd.account_id',
          'a.owner as account',
          'd.state',
          'd.replaced_by',
        ])
        .where('d.id', '=', id)
        .forUpdate('d')
        .executeTakeFirst()
    : undefined;
  if (row === undefined) throw new DepositAccountRefusal('DEPOSIT_ACCOUNT_UNKNOWN');
  return row;
}

async function treat(
  tx: Transaction,
  id: string,
  {
    state,
    by,
    nowMicros,
  }: { readonly state: DepositAccount['state']; readonly by: string; readonly nowMicros: Micros },
): Promise<DepositAccount> {
  const changed = await tx
    .updateTable('deposit_account')
    .set({ state, changed_at: nowMicros, changed_by: by })
    .where('id', '=', id)
    .where('state', '<>', state)
    .executeTakeFirst();
  const depositAccount = await read(tx, id);
  if (changed.numUpdatedRows === 0n) return depositAccount;
  await appendEvents(tx, [
    {
      eventId: eventId(DEPOSIT_ACCOUNT_CHANGED, id, `${state}/${nowMicros}`),
      type: DEPOSIT_ACCOUNT_CHANGED,
      subject: id,
      payload: { depositAccountId: id, state, replacedBy: depositAccount.replacedBy, changedBy: by },
      recordedAt: nowMicros,
    },
  ]);
  return depositAccount;
}

async function read(tx: Transaction, id: string): Promise<DepositAccount> {
  const [depositAccount] = await readDepositAccountsIn(tx, [id]);
  assert(depositAccount != null, 'A deposit account that was just locked is not there.', { id });
  return depositAccount;
}
