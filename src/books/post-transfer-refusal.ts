/** The refusals of `postTransfer` that a caller must expect; that somebody has too little is `InsufficientFundsError`. */
import { PermanentError } from '../env/errors.ts';

export type PostTransferRefusalCode =
  | 'IDEMPOTENCY_KEY_INVALID'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'REFERENCE_INVALID'
  | 'LINES_INVALID'
  | 'LINE_ACCOUNT_INVALID'
  | 'LINE_AMOUNT_INVALID'
  | 'LINE_REPEATED'
  | 'LINES_UNBALANCED'
  | 'INSTRUMENT_UNKNOWN'
  | 'BOOKS_EXTERNAL';

/** Nothing was booked. */
export class PostTransferRefusal extends PermanentError {
  override readonly code: PostTransferRefusalCode;
  /** Which line is at fault, from 0; null: none alone. */
  readonly line: number | null;
  constructor(code: PostTransferRefusalCode, message: string, line: number | null = null) {
    super(code, message, { line });
    this.code = code;
    this.line = line;
  }
}
