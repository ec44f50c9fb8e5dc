/**
 * The bytes of a prepared transaction, read so that no two readers can differ: decoded, free of unknown fields, and byte for byte what our
 * own encoder makes of what was read. The last rule closes the gap between protobuf parsers (repeated singular fields, overlong
 * numbers, text that is no UTF-8): whatever the bytes hold, it was seen. The bytes themselves go on to the ledger as they came.
 */
import { PreparedTransaction } from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { refuseUnknownFields } from './unknown-fields.ts';

/** 10 MiB: what a participant accepts as one message by default. */
export const PREPARED_BYTES_MAX = 10 * 1024 * 1024;

/** @throws CustodyRefusal PREPARED_TOO_LARGE, PREPARED_NOT_DECODABLE, PREPARED_UNKNOWN_FIELD, PREPARED_NOT_CANONICAL. */
export function decodePrepared(bytes: Uint8Array): PreparedTransaction {
  demand(bytes.length <= PREPARED_BYTES_MAX, 'PREPARED_TOO_LARGE', 'More bytes than a ledger accepts.', 'prepared', {
    bytes: bytes.length,
  });
  const prepared = decode(bytes);
  refuseUnknownFields(prepared, 'prepared');
  const encoded = PreparedTransaction.encode(prepared).finish();
  const isCanonical = Buffer.compare(encoded, bytes) === 0;
  demand(isCanonical, 'PREPARED_NOT_CANONICAL', 'The bytes say more than was read from them.', 'prepared');
  return prepared;
}

function decode(bytes: Uint8Array): PreparedTransaction {
  try {
    return PreparedTransaction.decode(bytes);
  } catch (cause) {
    // The decoder throws plain errors: truncated input, nesting beyond 100.
    throw new CustodyRefusal('PREPARED_NOT_DECODABLE', 'Not a prepared transaction.', 'prepared', {}, { cause });
  }
}
