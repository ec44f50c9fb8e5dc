/** Daml values as they enter the transaction hash: a tag byte, then the payload. */
import type { Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { CustodyRefusal, present } from './custody-refusal.ts';
import type { HashInput } from './hash-input.ts';

const TAG = {
  unit: 0x00,
  bool: 0x01,
  int64: 0x02,
  numeric: 0x03,
  timestamp: 0x04,
  date: 0x05,
  party: 0x06,
  text: 0x07,
  contractId: 0x08,
  optional: 0x09,
  list: 0x0a,
  textMap: 0x0b,
  record: 0x0c,
  variant: 0x0d,
  enum: 0x0e,
  genMap: 0x0f,
} as const satisfies Record<NonNullable<Value['sum']>['$case'], number>;

/**
 * Appends tag and payload of `value`. Entries and fields are taken in the order given; a numeric as the text it is.
 * @param at names the place for a refusal.
 * @throws CustodyRefusal HASH_FIELD_MISSING, HASH_CONTRACT_ID_INVALID.
 */
export function encodeValue(input: HashInput, value: Value | undefined, at: string): HashInput {
  const sum = present(value?.sum, 'HASH_FIELD_MISSING', at);
  input.byte(TAG[sum.$case]);
  switch (sum.$case) {
    case 'unit':
      return input;
    case 'bool':
      return input.bool(sum.value);
    case 'int64':
    case 'timestamp':
      return input.int64(sum.value);
    case 'date':
      return input.int32(sum.value);
    case 'numeric':
    case 'party':
    case 'text':
      return input.text(sum.value);
    case 'contractId':
      return encodeContractId(input, sum.value, at);
    case 'optional':
      return input.optional(sum.value.value, (inner) => encodeValue(input, inner, at));
    case 'list':
      return input.repeated(sum.value.elements, (element) => encodeValue(input, element, at));
    case 'textMap':
      return input.repeated(sum.value.entries, (entry) => encodeValue(input.text(entry.key), entry.value, at));
    case 'genMap':
      return input.repeated(sum.value.entries, (entry) => {
        encodeValue(input, entry.key, at);
        encodeValue(input, entry.value, at);
      });
    case 'record':
      input.optional(sum.value.recordId, (id) => encodeIdentifier(input, id));
      // Prepared transactions are enriched: the label is always there, if empty.
      return input.repeated(sum.value.fields, (field) => {
        input.optional(field.label, (label) => input.text(label));
        encodeValue(input, field.value, at);
      });
    case 'variant':
      input.optional(sum.value.variantId, (id) => encodeIdentifier(input, id));
      return encodeValue(input.text(sum.value.constructor), sum.value.value, at);
    case 'enum':
      return input.optional(sum.value.enumId, (id) => encodeIdentifier(input, id)).text(sum.value.constructor);
  }
}

/** Module and entity enter as the lists of their dotted parts. */
export function encodeIdentifier(input: HashInput, { packageId, moduleName, entityName }: Identifier): HashInput {
  const part = (text: string): HashInput => input.text(text);
  return input.text(packageId).repeated(moduleName.split('.'), part).repeated(entityName.split('.'), part);
}

const CONTRACT_ID_PATTERN = /^(?:[0-9a-f]{2})+$/;

/** The decoded hex behind its length; upper case is refused, as the same bytes would have two texts. */
export function encodeContractId(input: HashInput, contractId: string, at: string): HashInput {
  if (!CONTRACT_ID_PATTERN.test(contractId)) {
    throw new CustodyRefusal('HASH_CONTRACT_ID_INVALID', 'A contract id is not lower-case hex.', at, { contractId });
  }
  return input.bytes(Buffer.from(contractId, 'hex'));
}
