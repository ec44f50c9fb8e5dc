/** `postTransfer`: moves amounts between accounts of customers and the house. */
import { POST_TRANSFER_LINES_MAX, type PostTransferLine } from '../books/post-transfer-lines.ts';
import { PostTransferRefusal } from '../books/post-transfer-refusal.ts';
import type { PostedTransfer, PostTransferRequest, PostTransfers } from '../books/post-transfers.ts';
import { assert } from '../env/errors.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { type PostTransfer, readPostTransfers } from '../read/post-transfers.ts';
import { builder } from './builder.ts';
import { HouseAccountEnum } from './house-account.ts';
import { PostTransferRef } from './post-transfer.ts';
import {
  booksRefusalOf,
  CustomerBooksBehindError,
  CustomerFundsError,
  PostTransferInputError,
} from './post-transfer-refusal.ts';

const PostTransferLineInput = builder.inputType('PostTransferLineInput', {
  description: 'What one account gains or loses of one instrument. Since 0.1.',
  fields: (t) => ({
    account: t.string({
      description:
        'The exchange’s own name for a customer’s account, 1 to 255 bytes; one that was never heard of is opened. Null: `houseAccount`.',
    }),
    houseAccount: t.field({
      type: HouseAccountEnum,
      description: 'Instead of a customer’s account: one of the house’s.',
    }),
    instrumentAdmin: t.string({ required: true, description: 'Party id of the instrument’s admin.' }),
    instrumentId: t.string({ required: true, description: 'The id the admin gave it, e.g. `Amulet`.' }),
    amount: t.field({
      type: 'Decimal',
      required: true,
      description: 'What the account gains; below zero: loses. In units of the instrument.',
    }),
  }),
});

const PostTransferInput = builder.inputType('PostTransferInput', {
  description: 'What is to be moved, all of it or nothing. Since 0.1.',
  fields: (t) => ({
    idempotencyKey: t.string({
      required: true,
      description:
        'Your own name for it, 1 to 255 bytes. The same key with the same input is the same post transfer, for ever; so repeat a call whose answer you lost.',
    }),
    reference: t.string({ description: 'What you call it, e.g. the number of a trade; 1 to 255 bytes, for people.' }),
    lines: t.field({
      type: [PostTransferLineInput],
      required: true,
      description: `2 to ${POST_TRANSFER_LINES_MAX}, in any order, one per account and instrument. Per instrument they add up to nothing.`,
    }),
  }),
});

type Payload = { readonly postTransfer: PostTransfer; readonly isReplayed: boolean };

const PostTransferPayloadRef = builder.objectRef<Payload>('PostTransferPayload').implement({
  description: 'All lines are booked. Scope: `books`. Since 0.1.',
  authScopes: { books: true },
  fields: (t) => ({
    postTransfer: t.field({
      type: PostTransferRef,
      description: 'As it was booked. Scope: `books`. Since 0.1.',
      resolve: ({ postTransfer }) => postTransfer,
    }),
    replayed: t.exposeBoolean('isReplayed', {
      description: 'True: it was posted before, and this call changed nothing. Scope: `books`. Since 0.1.',
    }),
  }),
});

builder.mutationField('postTransfer', (t) =>
  t.field({
    type: PostTransferPayloadRef,
    description:
      'Moves amounts between accounts of customers and the house without the ledger: a trade, a fee, an opening balance. Booked whole and announced in one transaction before it answers, or not at all. Where Sluice keeps the balances no customer gives what he has not. Idempotency keys are the client’s own. Scopes: `books` and `read`. Since 0.1.',
    // Both at the door: refused at a field below, it would be booked and its caller would not know.
    authScopes: { $all: { books: true, read: true } },
    args: { input: t.arg({ type: PostTransferInput, required: true, description: 'What is to be moved.' }) },
    errors: {
      types: [CustomerBooksBehindError, CustomerFundsError, PostTransferInputError],
      union: { name: 'PostTransferResult', description: 'The post transfer, or why it was refused. Since 0.1.' },
    },
    resolve: async (_root, { input }, { db, postTransfers, principal }) => {
      const { idempotencyKey, reference, lines } = input;
      const { id, isReplayed } = await postOrRefuse(postTransfers, () => ({
        client: principal.client,
        idempotencyKey,
        reference: reference ?? null,
        lines: lines.map(lineOf),
      }));
      const [postTransfer = null] = await readPostTransfers(db, [id]);
      assert(postTransfer !== null, 'A post transfer that was just stored is not there.', { id });
      return { postTransfer, isReplayed };
    },
  }),
);

type LineInput = typeof PostTransferLineInput.$inferInput;

/** @throws PostTransferRefusal. */
function lineOf({ account, houseAccount, ...line }: LineInput, index: number): PostTransferLine {
  const { instrumentAdmin, instrumentId, amount } = line;
  if ((account == null) === (houseAccount == null)) {
    throw new PostTransferRefusal('LINE_ACCOUNT_INVALID', 'A line names one account.', index);
  }
  if (!isStorableText(instrumentAdmin) || !isStorableText(instrumentId)) {
    throw new PostTransferRefusal('INSTRUMENT_UNKNOWN', 'No such instrument was ever seen here.', index);
  }
  const instrument = { admin: instrumentAdmin, id: instrumentId };
  return houseAccount == null
    ? { account: { customer: account ?? '' }, instrument, amount }
    : { account: { house: houseAccount }, instrument, amount };
}

async function postOrRefuse(service: PostTransfers, requested: () => PostTransferRequest): Promise<PostedTransfer> {
  try {
    return await service.post(requested());
  } catch (error) {
    throw booksRefusalOf(error);
  }
}
