/**
 * What the logic counts, as it sees it: facts with names, handed to whoever keeps numbers. Like the logger it is passed in, and nothing depends on whether anybody listens.
 * No fact has an amount, a memo or a customer: what is counted here is read without a key.
 */
export type Measures = {
  /** A batch of updates is committed. */
  batchWritten(batch: { readonly treasury: string; readonly updates: number; readonly durationMs: number }): void;
  /** How far behind the participant a stream that is being followed is, in offsets. */
  behind(stream: { readonly treasury: string; readonly offsets: bigint }): void;
  /** A stream of updates ended. @param stream.reason the code of the error; `STOPPED` where it was we who left. */
  streamEnded(stream: { readonly treasury: string; readonly reason: string }): void;
  /** Something is done again because of `code`. @param retry.work what is: `stream`, `workers`, or the purpose of a submission. */
  retried(retry: { readonly work: string; readonly code: string }): void;
  /** One try to have something signed. @param answer.result `SIGNED`, or the code of why not. */
  signerAnswered(answer: { readonly result: string; readonly durationMs: number }): void;
};

export const noMeasures: Measures = {
  batchWritten: () => undefined,
  behind: () => undefined,
  streamEnded: () => undefined,
  retried: () => undefined,
  signerAnswered: () => undefined,
};
