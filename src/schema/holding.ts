/** `Holding` and its query. */
import {
  type Holding,
  type HoldingLock,
  isByAmount,
  keyOfHolding,
  listHoldings,
  type Reservation,
  readHoldings,
} from '../read/holdings.ts';
import { ledgerKey } from '../read/ledger-keys.ts';
import { readTransfers } from '../read/transfers.ts';
import { readWithdrawals } from '../read/withdrawals.ts';
import { formatAmount } from '../tokens/amount.ts';
import { apiError } from './api-error.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { partsOfKey } from './global-id.ts';
import { InstrumentRef, instrumentOfId } from './instrument.ts';
import { TransferRef } from './transfer-ref.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';
import { WithdrawalRef } from './withdrawal.ts';

const KEY_PARTS = ['network', 'party', 'contractId'] as const;

const HoldingStateEnum = builder.enumType('HoldingState', {
  description: 'Which holdings to list. Since 0.1.',
  values: {
    ACTIVE: { description: 'Held now.' },
    ARCHIVED: { description: 'Spent, merged or unlocked into another one.' },
    ALL: { description: 'Both.' },
  } as const,
});

const HoldingLockRef = builder.objectRef<HoldingLock>('HoldingLock').implement({
  description: 'Why a holding cannot be spent at will. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    holders: t.stringList({
      description: 'Party ids of those who can unlock it. Scope: `read`. Since 0.1.',
      resolve: ({ holders }) => [...holders],
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it expires, by the ledger’s time; null: it names no time. Scope: `read`. Since 0.1.',
    }),
    expiresAfterMicros: t.expose('expiresAfter', {
      type: 'BigInt',
      nullable: true,
      description: 'Microseconds it lasts from its creation; null: it names no duration. Scope: `read`. Since 0.1.',
    }),
    context: t.exposeString('context', {
      nullable: true,
      description: 'What it is for, as the ledger says; null: not said. Scope: `read`. Since 0.1.',
    }),
  }),
});

const HoldingOrderEnum = builder.enumType('HoldingOrder', {
  description: 'In which order to list holdings. Since 0.1.',
  values: {
    NEWEST: { description: 'By record time of creation, the newest first.' },
    OLDEST: { description: 'By record time of creation, the oldest first.' },
    LARGEST: { description: 'By amount, the largest first; only active holdings of one `instrument`.' },
    SMALLEST: { description: 'By amount, the smallest first; only active holdings of one `instrument`.' },
  } as const,
});

const ReservationPurposeEnum = builder.enumType('ReservationPurpose', {
  description: 'What a holding is reserved for. Since 0.1.',
  values: {
    WITHDRAWAL: { description: 'Paying a withdrawal: `withdrawal` says which.' },
    OFFER: { description: 'Accepting or rejecting an offer to us: `offer` says which.' },
    OFFER_WITHDRAW: { description: 'Taking back the offer of a withdrawal: `withdrawal` says which.' },
    SELF_TRANSFER: { description: 'Merging small holdings or splitting a large one, to us ourselves.' },
  } as const,
});

const HoldingReservationRef = builder.objectRef<Reservation>('HoldingReservation').implement({
  description:
    'An open attempt that may spend a holding. It ends when the ledger spends it, when the attempt is proven dead, or when it is given up unsigned. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    purpose: t.expose('purpose', { type: ReservationPurposeEnum, description: 'What for. Scope: `read`. Since 0.1.' }),
    attempt: t.exposeInt('attempt', {
      description: 'Number of the attempt, from 1, as in `Withdrawal.attempts`. Scope: `read`. Since 0.1.',
    }),
    until: t.expose('targetRecordTime', {
      type: 'RecordTime',
      description:
        'The last record time at which the attempt may spend it; free once a later one of its synchronizer was read and it is unspent. Scope: `read`. Since 0.1.',
    }),
    synchronizerId: t.exposeString('synchronizerId', {
      description: 'Whose record time `until` is. Scope: `read`. Since 0.1.',
    }),
    since: t.expose('openedAt', {
      type: 'RecordTime',
      description: 'When the attempt was opened, by our clock. Scope: `read`. Since 0.1.',
    }),
    brokenBy: t.exposeString('brokenBy', {
      nullable: true,
      description:
        'Id of the update in which somebody else spent it: the attempt cannot pay any more and waits for its proof. Null: nobody did. Scope: `read`. Since 0.1.',
    }),
    withdrawal: t.loadable({
      type: WithdrawalRef,
      nullable: true,
      description: 'The withdrawal it is for; null: for something else. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readWithdrawals(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ withdrawalId }) => withdrawalId,
    }),
    offer: t.loadable({
      type: TransferRef,
      nullable: true,
      description: 'The offer to us that it is for; null: for something else. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readTransfers(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ offerTransferId }) => offerTransferId,
    }),
    selfTransferId: t.exposeString('selfTransferId', {
      nullable: true,
      description: 'Id of the self-transfer it is for; null: for something else. Scope: `read`. Since 0.1.',
    }),
  }),
});

export const HoldingRef = builder.objectRef<Holding>('Holding');

builder.node(HoldingRef, {
  description:
    'One holding (UTXO) of a treasury party: a contract that stands for an amount, spent as a whole. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: ({ treasury, contractId }) => ledgerKey(treasury.network, treasury.party, contractId) },
  loadManyWithoutCache: async (keys, { db }) =>
    await readHoldings(
      db,
      keys.map((key) => partsOfKey(key, KEY_PARTS)),
    ),
  fields: (t) => ({
    contractId: t.exposeString('contractId', { description: 'Contract id on the ledger. Scope: `read`. Since 0.1.' }),
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Its owner. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'What is held. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'In units of the instrument, as created. Scope: `read`. Since 0.1.',
    }),
    template: t.exposeString('template', {
      description: 'Package name, module and entity of the contract, joined by `:`. Scope: `read`. Since 0.1.',
    }),
    lock: t.field({
      type: HoldingLockRef,
      nullable: true,
      description: 'Null: it can be spent. Scope: `read`. Since 0.1.',
      resolve: ({ lock }) => lock,
    }),
    reservation: t.field({
      type: HoldingReservationRef,
      nullable: true,
      description: 'By whom it is reserved, and until when; null: it is free, or archived. Scope: `read`. Since 0.1.',
      resolve: ({ reservation }) => reservation,
    }),
    createdUpdateId: t.exposeString('createdUpdateId', {
      description: 'Id of the update that created it. Scope: `read`. Since 0.1.',
    }),
    createdAt: t.expose('createdRecordTime', {
      type: 'RecordTime',
      description: 'Record time of that update. Scope: `read`. Since 0.1.',
    }),
    archivedUpdateId: t.exposeString('archivedUpdateId', {
      nullable: true,
      description: 'Id of the update that archived it; null: active. Scope: `read`. Since 0.1.',
    }),
    archivedAt: t.expose('archivedRecordTime', {
      type: 'RecordTime',
      nullable: true,
      description: 'Record time of that update; null: active. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('holdings', (t) =>
  t.connection(
    {
      type: HoldingRef,
      description: 'Holdings of the treasury parties, newest first unless told otherwise. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }),
        instrument: t.arg.id({ description: 'Only of this `Instrument`, by its global id.' }),
        state: t.arg({
          type: HoldingStateEnum,
          defaultValue: 'ACTIVE',
          description: 'Active ones unless told otherwise.',
        }),
        isLocked: t.arg.boolean({ description: 'True: only those with a lock. False: only those without.' }),
        isReserved: t.arg.boolean({
          description: 'True: only those that an open attempt may spend. False: only the others.',
        }),
        amountMin: t.arg({
          type: 'Decimal',
          description: 'Only of this amount or more, in units of the instrument, which has to be named with it.',
        }),
        orderBy: t.arg({
          type: HoldingOrderEnum,
          defaultValue: 'NEWEST',
          description: 'Newest first unless told otherwise.',
        }),
      },
      resolve: async (_root, args, { db }) => {
        const { treasury, instrument, state, isLocked, isReserved, amountMin, orderBy, ...page } = args;
        const order = orderBy ?? 'NEWEST';
        const filter = {
          treasury: treasuryOfId(treasury),
          instrument: instrumentOfId(instrument),
          state: state ?? 'ACTIVE',
          isLocked: isLocked ?? null,
          isReserved: isReserved ?? null,
          amountMin: amountMin == null ? null : formatAmount(amountMin),
        };
        if (instrument == null && (isByAmount(order) || amountMin != null)) {
          throw apiError('FILTER_INVALID', 'Amounts of several instruments do not compare: name the instrument.');
        }
        if (isByAmount(order) && filter.state !== 'ACTIVE') {
          throw apiError('FILTER_INVALID', 'Only active holdings can be listed by amount.');
        }
        return await connectionOf(
          { name: isByAmount(order) ? 'holdingsByAmount' : 'holdings', key: isByAmount(order) ? 'dttt' : 'ittt' },
          page,
          async (request) => await listHoldings(db, filter, order, request),
          keyOfHolding(order),
        );
      },
    },
    { name: 'HoldingConnection' },
    { name: 'HoldingEdge' },
  ),
);
