/** `PostTransfer`: what a service moved between accounts, and its query. */
import { isStorableText } from '../read/ledger-keys.ts';
import {
  type PostTransfer,
  type PostTransferLine,
  readPostTransferLines,
  readPostTransfers,
} from '../read/post-transfers.ts';
import { postTransferId as idOf } from '../tokens/ids.ts';
import { AccountRef } from './account.ts';
import { apiError } from './api-error.ts';
import { builder } from './builder.ts';
import { HouseAccountEnum, houseAccountOf } from './house-account.ts';
import { InstrumentRef } from './instrument.ts';

const PostTransferLineRef = builder.objectRef<PostTransferLine>('PostTransferLine').implement({
  description: 'What one account gained or lost of one instrument. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    account: t.field({
      type: AccountRef,
      nullable: true,
      description: 'The customer’s account; null: one of the house’s. Scope: `read`. Since 0.1.',
      resolve: ({ account }) => account,
    }),
    houseAccount: t.field({
      type: HouseAccountEnum,
      nullable: true,
      description: 'The account of the house; null: a customer’s. Scope: `read`. Since 0.1.',
      resolve: ({ houseAccount }) => houseAccountOf(houseAccount),
    }),
    instrument: t.field({
      type: InstrumentRef,
      description: 'Of what. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    amount: t.expose('amount', {
      type: 'Decimal',
      description: 'What the account gained; below zero: lost. In units of the instrument. Scope: `read`. Since 0.1.',
    }),
  }),
});

export const PostTransferRef = builder.objectRef<PostTransfer>('PostTransfer').implement({
  description:
    'Amounts that a service moved between accounts without the ledger: a trade, a fee, an opening balance. Never changed; what was wrong is met by another one. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    postTransferId: t.exposeString('id', {
      description: '`pt_…`, a function of network, client and idempotency key. Scope: `read`. Since 0.1.',
    }),
    createdBy: t.exposeString('client', { description: 'The client that posted it. Scope: `read`. Since 0.1.' }),
    idempotencyKey: t.exposeString('idempotencyKey', {
      description: 'The client’s own name for it. Scope: `read`. Since 0.1.',
    }),
    reference: t.exposeString('reference', {
      nullable: true,
      description: 'What the exchange calls it; null: nothing was given. Scope: `read`. Since 0.1.',
    }),
    postedAt: t.expose('postedAt', {
      type: 'RecordTime',
      description: 'When, by our clock. Scope: `read`. Since 0.1.',
    }),
    lines: t.loadableGroup({
      type: PostTransferLineRef,
      description:
        'Per instrument they add up to nothing; customers first, by account and instrument, whatever order they were given in. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readPostTransferLines(db, ids),
      group: ({ postTransferId }) => postTransferId,
      loaderOptions: { cache: false },
      resolve: ({ id }) => id,
    }),
  }),
});

builder.queryField('postTransfer', (t) =>
  t.field({
    type: PostTransferRef,
    nullable: true,
    description:
      'A post transfer, by its id or by your own key; null where there is none. `POST_TRANSFER_NOT_NAMED`: neither or both are given. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    args: {
      postTransferId: t.arg.string({ description: '`pt_…`.' }),
      idempotencyKey: t.arg.string({ description: 'Instead of the id: your own key.' }),
    },
    resolve: async (_root, { postTransferId, idempotencyKey }, { db, network, principal }) => {
      if ((postTransferId == null) === (idempotencyKey == null)) {
        throw apiError('POST_TRANSFER_NOT_NAMED', 'Name it by `postTransferId` or by `idempotencyKey`.');
      }
      const id = postTransferId ?? idOf(network, principal.client, idempotencyKey ?? '');
      if (!isStorableText(id)) return null;
      const [found = null] = await readPostTransfers(db, [id]);
      return found;
    },
  }),
);
