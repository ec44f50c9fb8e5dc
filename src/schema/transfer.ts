/** `Transfer`, to whom it belongs, and its queries. */
import { readDepositAccounts } from '../deposits/deposit-accounts.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { NO_ROWS } from '../read/page.ts';
import { type Attribution, keyOfTransfer, listTransfers, readTransfers } from '../read/transfers.ts';
import { AccountRef } from './account.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { DepositAccountRef } from './deposit-account-ref.ts';
import { InstrumentRef } from './instrument.ts';
import { TransferFilterInput, transferFilterOf } from './transfer-filter.ts';
import { TransferRef } from './transfer-ref.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';

const TransferKindEnum = builder.enumType('TransferKind', {
  description: 'How the tokens moved. Since 0.1.',
  values: {
    DIRECT: { description: 'In one step.' },
    OFFER: { description: 'Offered by the sender, and completed only by the receiver’s acceptance.' },
    MERGE: { description: 'Between holdings of the same party: merging, splitting, unlocking.' },
    MINT: { description: 'Created by the instrument’s admin.' },
    BURN: { description: 'Destroyed, e.g. as a fee.' },
    UNEXPLAINED: { description: 'Holdings changed and no known record says why.' },
    OPENING: {
      description: 'Held already when this database began to follow the party: an opening balance, nobody’s deposit.',
    },
  } as const,
});

const TransferDirectionEnum = builder.enumType('TransferDirection', {
  description: 'Seen from the treasury party. Since 0.1.',
  values: {
    IN: { description: 'To the treasury party.' },
    OUT: { description: 'From the treasury party.' },
    SELF: { description: 'From the treasury party to itself.' },
  } as const,
});

const TransferStatusEnum = builder.enumType('TransferStatus', {
  description: 'Where a transfer stands. Only `PENDING` ever changes. Since 0.1.',
  values: {
    PENDING: { description: 'Offered; nothing has moved and nothing is credited.' },
    COMPLETED: { description: 'The tokens have moved.' },
    REJECTED: { description: 'The receiver refused the offer.' },
    WITHDRAWN: { description: 'The sender took the offer back.' },
    EXPIRED: { description: 'The offer ended by its deadline.' },
    FAILED: { description: 'The instrument’s admin ended the offer without moving tokens.' },
  } as const,
});

const AttributionRef = builder.objectRef<Attribution>('Attribution').implement({
  description: 'The one decision to whom a transfer belongs. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    account: t.field({
      type: AccountRef,
      description: 'The customer’s account it was credited to. Scope: `read`. Since 0.1.',
      resolve: ({ account }) => account,
    }),
    depositAccount: t.loadable({
      type: DepositAccountRef,
      nullable: true,
      description: 'The deposit account whose memo decided it; null: a person decided. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readDepositAccounts(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ depositAccountId }) => depositAccountId,
    }),
    decidedBy: t.exposeString('decidedBy', {
      description: '`memo`, or the name of the principal who decided. Scope: `read`. Since 0.1.',
    }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'Record time of the update it was credited with. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.node(TransferRef, {
  description: 'One economic transfer over its whole life, as one treasury party saw it. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  id: { resolve: ({ id }) => id },
  loadManyWithoutCache: async (ids, { db }) => await readTransfers(db, ids),
  fields: (t) => ({
    transferId: t.exposeString('id', {
      description:
        'Its id, `tr_…`: a function of party and update id, the same in every installation. Scope: `read`. Since 0.1.',
    }),
    treasury: t.field({
      type: TreasuryPartyRef,
      description: 'Who saw it. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'What moves. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    kind: t.expose('kind', { type: TransferKindEnum, description: 'How it moves. Scope: `read`. Since 0.1.' }),
    direction: t.expose('direction', {
      type: TransferDirectionEnum,
      description: 'Which way. Scope: `read`. Since 0.1.',
    }),
    status: t.expose('status', { type: TransferStatusEnum, description: 'Where it stands. Scope: `read`. Since 0.1.' }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'In units of the instrument, not below 0. Scope: `read`. Since 0.1.',
    }),
    counterparty: t.exposeString('counterparty', {
      nullable: true,
      description: 'Party id of the other side; null: nobody, or not seen. Scope: `read`. Since 0.1.',
    }),
    memo: t.exposeString('memo', {
      nullable: true,
      description: 'What the sender gave as reason: opaque text of a stranger. Null: none. Scope: `read`. Since 0.1.',
    }),
    updateId: t.exposeString('updateId', {
      description: 'Id of the update it was first seen in. Scope: `read`. Since 0.1.',
    }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      description: 'Record time of that update. Scope: `read`. Since 0.1.',
    }),
    concludedUpdateId: t.exposeString('concludedUpdateId', {
      nullable: true,
      description: 'Id of the update that ended it; null: pending. Scope: `read`. Since 0.1.',
    }),
    concludedAt: t.expose('concludedRecordTime', {
      type: 'RecordTime',
      nullable: true,
      description: 'Record time of that update; null: pending. Scope: `read`. Since 0.1.',
    }),
    transferObject: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'The token standard’s Transfer record: with the update id, the proof of transfer. Null: the ledger showed none. Scope: `read`. Since 0.1.',
      resolve: ({ transferObject }) => transferObject,
    }),
    attribution: t.field({
      type: AttributionRef,
      nullable: true,
      description: 'To whom it belongs; null: to nobody yet, or no deposit. Scope: `read`. Since 0.1.',
      resolve: ({ attribution }) => attribution,
    }),
  }),
});

builder.queryFields((t) => ({
  transfers: t.connection(
    {
      type: TransferRef,
      description: 'Transfers, newest first by record time. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: {
        treasury: t.arg.id({ description: 'Only of this `TreasuryParty`, by its global id.' }),
        direction: t.arg({ type: TransferDirectionEnum, description: 'Only this way.' }),
        status: t.arg({ type: TransferStatusEnum, description: 'Only in this status.' }),
        kind: t.arg({ type: TransferKindEnum, description: 'Only moved in this way.' }),
        account: t.arg.string({ description: 'Only those credited to this customer’s account.' }),
        filter: t.arg({ type: TransferFilterInput, description: 'Only those. Null: all.' }),
      },
      resolve: async (_root, args, { db, principal }) => {
        const { treasury, direction, status, kind, account, filter: more, ...page } = args;
        const wanted = transferFilterOf(more ?? {});
        const filter = wanted && {
          ...wanted,
          treasury: treasuryOfId(treasury),
          direction: direction ?? null,
          status: status ?? null,
          kind: kind ?? null,
          account: account ?? null,
        };
        return await connectionOf(
          { name: 'transfers', key: 'it' },
          page,
          async (request) =>
            filter !== null && isStorableText(account ?? '')
              ? await listTransfers(db, principal.reach, filter, request)
              : NO_ROWS,
          keyOfTransfer,
        );
      },
    },
    { name: 'TransferConnection' },
    { name: 'TransferEdge' },
  ),
  transfer: t.field({
    type: TransferRef,
    nullable: true,
    description: 'The transfer with this id; null where there is none. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: { transferId: t.arg.string({ required: true, description: '`tr_…`, as in events and exports.' }) },
    resolve: async (_root, { transferId }, { db }) =>
      isStorableText(transferId) ? ((await readTransfers(db, [transferId]))[0] ?? null) : null,
  }),
}));
