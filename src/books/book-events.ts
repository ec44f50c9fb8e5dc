/** What the event log says of the books. Written in the transaction that books; whoever wants the lines reads the post transfer by its id. */
import { z } from 'zod';

/** A service moved amounts between accounts. Its subject is the post transfer. */
export const POST_TRANSFER_POSTED = 'post-transfer.posted';

export const postTransferPostedPayload = z.object({
  postTransferId: z.string(),
  client: z.string(),
  idempotencyKey: z.string(),
  reference: z.string().nullable(),
  /** Customers' accounts that it moved, sorted. */
  accounts: z.array(z.string()),
  /** Microseconds of the wall clock, as a decimal string. */
  postedAt: z.string(),
});

export type PostTransferPosted = z.infer<typeof postTransferPostedPayload>;

/** A payment was read that its customer's balance does not cover: the house laid out the rest. Its subject is the withdrawal. */
export const BOOKS_SHORTFALL = 'books.shortfall';

export const booksShortfallPayload = z.object({
  withdrawalId: z.string(),
  account: z.string(),
  instrument: z.object({ admin: z.string(), id: z.string() }),
  /** What the house laid out; decimal string, ten decimals. */
  amount: z.string(),
  transferId: z.string(),
  updateId: z.string(),
});

export type BooksShortfall = z.infer<typeof booksShortfallPayload>;
