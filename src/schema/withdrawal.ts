/** `Withdrawal` and its queries. */
import type { Database } from '../db/connection.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { NO_ROWS } from '../read/page.ts';
import { reaches } from '../read/reach.ts';
import { readTransfers } from '../read/transfers.ts';
import { readAttemptsOf } from '../read/withdrawal-attempts.ts';
import { readWaits, type WithdrawalWait } from '../read/withdrawal-waits.ts';
import {
  findWithdrawalId,
  keyOfWithdrawal,
  listWithdrawals,
  readWithdrawals,
  readWithdrawalsPaidBy,
  type Withdrawal,
} from '../read/withdrawals.ts';
import { isFinal } from '../withdrawals/withdrawal-state.ts';
import { AccountRef } from './account.ts';
import { apiError } from './api-error.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { InstrumentRef } from './instrument.ts';
import type { Principal } from './principal.ts';
import { TransferRef } from './transfer-ref.ts';
import { TreasuryPartyRef } from './treasury-party-ref.ts';
import { DefiniteFailureProofRef, WithdrawalAttemptRef } from './withdrawal-attempt.ts';
import { WithdrawalFilterInput, withdrawalFilterOf } from './withdrawal-filter.ts';
import { WithdrawalStateEnum } from './withdrawal-state.ts';

const WithdrawalWaitEnum = builder.enumType('WithdrawalWait', {
  description: 'What a queued withdrawal waits for. Since 0.1.',
  values: {
    PAID_BEFORE: {
      description:
        'The ledger shows a payment that carries its id, or another refund of the same deposit, from before the database was restored from a backup: it is not paid again, and somebody has to look.',
    },
    HALT: { description: 'A kill switch covers it: nothing is signed until it is lifted by two people. See `halts`.' },
    FREEZE: { description: 'A freeze covers it: somebody has to look first, and to lift it.' },
    HELD: { description: 'Somebody holds it: it is resumed by `resumeWithdrawal`.' },
    RESTORED: {
      description:
        'The database went back in time, and its client may have been told of an end since: it goes on when that asks for it again under its key.',
    },
    PARKED: { description: 'It is out of the automation until a person calls `unparkWithdrawal`.' },
    DEADLINE: { description: 'The ledger has passed its deadline: it fails in a moment.' },
    APPROVAL: {
      description:
        'The policy has not given its leave: it changed and judges it again in a moment, or people or the screening service have to say yes first. See `policy` of the withdrawal.',
    },
    POLICY: {
      description:
        'The token directory has it that its instrument is not paid directly, or its registry does not say what was pinned: see `tokens`.',
    },
    LEDGER: {
      description: 'Ingestion does not run, or the ledger’s time is too far from ours to promise an end.',
    },
    FUNDS: { description: 'What the treasury holds free does not reach; deposits, or the end of others, may.' },
    TURN: { description: 'Nothing is in the way: its turn comes in a moment.' },
  } satisfies Record<WithdrawalWait, { description: string }>,
});

const WithdrawalFailureRef = builder.objectRef<NonNullable<Withdrawal['failure']>>('WithdrawalFailure').implement({
  description: 'Why a withdrawal was not paid. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    code: t.exposeString('code', {
      description: 'Stable, for programs, e.g. `NOT_COMMITTED`. Scope: `read`. Since 0.1.',
    }),
    detail: t.exposeString('detail', {
      nullable: true,
      description: 'For people; may change. Scope: `read`. Since 0.1.',
    }),
  }),
});

export const WithdrawalRef = builder.objectRef<Withdrawal>('Withdrawal');

builder.node(WithdrawalRef, {
  description:
    'A customer’s request to be paid, from the request to the one final state that only the ledger can prove. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: ({ id }) => id },
  loadManyWithoutCache: async (ids, { db }) => await readWithdrawals(db, ids),
  fields: (t) => ({
    withdrawalId: t.exposeString('id', {
      description:
        'Its id, `wd_…`: a keyed function of principal and idempotency key; the transfer carries it. Scope: `read`. Since 0.1.',
    }),
    state: t.expose('state', { type: WithdrawalStateEnum, description: 'Where it stands. Scope: `read`. Since 0.1.' }),
    isFinal: t.boolean({
      description: 'True: `state` never changes again. Scope: `read`. Since 0.1.',
      resolve: ({ state }) => isFinal(state),
    }),
    isCancelRequested: t.exposeBoolean('isCancelRequested', {
      description:
        'True: it was to be cancelled while an attempt was open. It is cancelled when that one is certainly dead, and completed where it was faster. Scope: `read`. Since 0.1.',
    }),
    account: t.field({
      type: AccountRef,
      description: 'The customer’s account it is debited from. Scope: `read`. Since 0.1.',
      resolve: ({ account }) => account,
    }),
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Who pays. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'What is paid. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    receiver: t.exposeString('receiver', { description: 'Party id of who is paid. Scope: `read`. Since 0.1.' }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'In units of the instrument, above 0. Scope: `read`. Since 0.1.',
    }),
    memo: t.exposeString('memo', {
      nullable: true,
      description:
        'What the receiver asked for as reason. Null: nothing; then `withdrawalId` stands there. Scope: `read`. Since 0.1.',
    }),
    createdBy: t.exposeString('client', {
      description: 'Name of the principal who asked. Scope: `read`. Since 0.1.',
    }),
    idempotencyKey: t.exposeString('idempotencyKey', {
      description: 'That principal’s own key of the request. Scope: `read`. Since 0.1.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'RecordTime',
      description: 'When it was requested, by our clock. Scope: `read`. Since 0.1.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'RecordTime',
      description: 'When it last changed, by our clock. Scope: `read`. Since 0.1.',
    }),
    deadline: t.expose('deadline', {
      type: 'RecordTime',
      nullable: true,
      description:
        'The last record time at which it may be paid; what is not in flight by then fails with `DEADLINE_PASSED`. Null: it waits as long as it takes. Scope: `read`. Since 0.1.',
    }),
    recoveredAt: t.expose('recoveredAt', {
      type: 'RecordTime',
      nullable: true,
      description:
        'When it was made anew from its transfer on the ledger, by our clock, because the database had lost it; its other times are then those of the transfer. Null: it was not. Scope: `read`. Since 0.1.',
    }),
    failure: t.field({
      type: WithdrawalFailureRef,
      nullable: true,
      description: 'Why it was not paid; null: it was not refused. Scope: `read`. Since 0.1.',
      resolve: ({ failure }) => failure,
    }),
    transfer: t.loadable({
      type: TransferRef,
      nullable: true,
      description:
        'The evidence: its transfer as it was seen on the ledger. Null: none was seen, or derived tables are being rebuilt. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readTransfers(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ transferId }) => transferId,
    }),
    updateId: t.exposeString('updateId', {
      nullable: true,
      description: 'Id of the ledger’s update that showed it; null: none did. Scope: `read`. Since 0.1.',
    }),
    attempts: t.loadableGroup({
      type: WithdrawalAttemptRef,
      description: 'Its attempts, by number. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readAttemptsOf(db, ids),
      group: ({ withdrawalId }) => withdrawalId,
      loaderOptions: { cache: false },
      resolve: ({ id }) => id,
    }),
    decidableBy: t.expose('decidableBy', {
      type: 'RecordTime',
      nullable: true,
      description:
        'The record time strictly after which the open attempt is decided: it was seen by then, or it is proven dead. Null: no attempt is open. Scope: `read`. Since 0.1.',
    }),
    waitsFor: t.loadable({
      type: WithdrawalWaitEnum,
      nullable: true,
      description:
        'What it waits for at this moment while it is `QUEUED`: a gauge for people and alerts, told by no event. Null: it is not queued. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db, clock, recordTimeAheadMsMax }) =>
        await readWaits(db, ids, { nowMicros: clock.nowMicros(), recordTimeAheadMsMax }),
      loaderOptions: { cache: false },
      resolve: ({ id }) => id,
    }),
    definiteFailureProof: t.field({
      type: DefiniteFailureProofRef,
      nullable: true,
      description:
        'Once it is failed or cancelled: that its last attempt which could have paid never did and never will; each one before opened only after the same proof, see `attempts`. Null: it is neither, or no attempt had to lapse. Scope: `read`. Since 0.1.',
      resolve: ({ proof }) => proof,
    }),
  }),
});

type WithdrawalName = {
  readonly withdrawalId?: string | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
};

/**
 * The id of the withdrawal that `name` names for this principal; keys are its own. One given by id may be of nobody, unless the principal reaches one account only.
 * @throws GraphQLError WITHDRAWAL_NOT_NAMED when neither or both are given.
 */
export async function withdrawalIdOf(
  db: Database,
  { name: client, reach }: Principal,
  { withdrawalId, idempotencyKey }: WithdrawalName,
): Promise<string | null> {
  if ((withdrawalId == null) === (idempotencyKey == null)) {
    throw apiError(
      'WITHDRAWAL_NOT_NAMED',
      'Name the withdrawal by `withdrawalId` or by `idempotencyKey`, one of them.',
    );
  }
  if (!isStorableText(withdrawalId ?? idempotencyKey ?? '')) return null;
  const id = withdrawalId ?? (await findWithdrawalId(db, { client, idempotencyKey: idempotencyKey ?? '' }));
  if (id === null || reach.kind === 'EVERYTHING') return id;
  // Somebody else's is not followed either: to a customer it is one that there is not.
  const [withdrawal = null] = await readWithdrawals(db, [id]);
  return reaches(reach, withdrawal?.account ?? null) ? id : null;
}

builder.objectField(TransferRef, 'withdrawal', (t) =>
  t.loadable({
    type: WithdrawalRef,
    nullable: true,
    description: 'The withdrawal that it paid; null: it paid none. Scope: `read`. Since 0.1.',
    load: async (ids: string[], { db }) => await readWithdrawalsPaidBy(db, ids),
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
);

builder.queryFields((t) => ({
  withdrawals: t.connection(
    {
      type: WithdrawalRef,
      description: 'Withdrawals, newest first by the time of the request. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: { filter: t.arg({ type: WithdrawalFilterInput, description: 'Only those. Null: all.' }) },
      resolve: async (_root, { filter, ...page }, { db, principal }) => {
        const wanted = withdrawalFilterOf(filter ?? {});
        return await connectionOf(
          { name: 'withdrawals', key: 'it' },
          page,
          async (request) => (wanted === null ? NO_ROWS : await listWithdrawals(db, principal.reach, wanted, request)),
          keyOfWithdrawal,
        );
      },
    },
    { name: 'WithdrawalConnection' },
    { name: 'WithdrawalEdge' },
  ),
  withdrawal: t.field({
    type: WithdrawalRef,
    nullable: true,
    description:
      'The withdrawal with this id, or that you asked for under this key; null where there is none. `WITHDRAWAL_NOT_NAMED`: neither or both are given. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: {
      withdrawalId: t.arg.string({ description: '`wd_…`, as in answers and events.' }),
      idempotencyKey: t.arg.string({ description: 'Instead of the id: your own key of the request.' }),
    },
    resolve: async (_root, args, { db, principal }) => {
      const id = await withdrawalIdOf(db, principal, args);
      return id === null ? null : ((await readWithdrawals(db, [id]))[0] ?? null);
    },
  }),
}));
