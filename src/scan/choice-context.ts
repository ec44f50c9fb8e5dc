/**
 * Choice contexts: from the Daml-JSON of a registry (`{"values": {key: {"tag": "AV_…", "value": …}}}`) to the values that go into
 * `extraArgs.context` of a choice. What they mean is the registry's; here only their form is checked.
 * @see Canton token standard (CIP-56), Splice.Api.Token.MetadataV1: AnyValue, ChoiceContext.
 */
import { z } from 'zod';
import { parseDate, parseRecordTime } from '../env/record-time.ts';
import type { Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { formatAmount, parseAmount } from '../tokens/amount.ts';

export type ChoiceContext = ReadonlyMap<string, Value>;

const METADATA_PACKAGE_ID = '4ded6b668cb3b64f7a88a30874cd41c75829f5e064b3fbbadf41ec7e8363354f';
const METADATA_MODULE = 'Splice.Api.Token.MetadataV1';
const DEPTH_MAX = 16; // Real contexts are flat; protobuf itself ends at 100.
const ENTRIES_MAX = 1_000;

/** Where and why a context could not be read. Registry data is hostile input, so it is a result that callers turn into their error. */
export class ChoiceContextError extends Error {
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.name = 'ChoiceContextError';
    this.path = path;
  }
}

const anyValue = z.strictObject({ tag: z.string(), value: z.unknown() });
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** @param values of `choiceContextData`. @throws ChoiceContextError naming the key. */
export function readChoiceContext(values: Readonly<Record<string, unknown>>): ChoiceContext {
  const entries = Object.entries(values);
  if (entries.length > ENTRIES_MAX) throw new ChoiceContextError('values', 'too many entries');
  return new Map(entries.map(([key, value]) => [key, readAnyValue(value, `values.${key}`, 0)]));
}

/** `ChoiceContext {values}`, for the `context` field of `ExtraArgs`. Entries are put in key order, as the ledger keeps them. */
export function choiceContextValue(context: ChoiceContext): Value {
  const fields = [{ label: 'values', value: textMap([...context]) }];
  return { sum: { $case: 'record', value: { recordId: metadataType('ChoiceContext'), fields } } };
}

function readAnyValue(json: unknown, path: string, depth: number): Value {
  if (depth > DEPTH_MAX) throw new ChoiceContextError(path, 'nested too deeply');
  const parsed = anyValue.safeParse(json);
  if (!parsed.success) throw new ChoiceContextError(path, 'not {tag, value}');
  const { tag, value } = parsed.data;
  const inner = readTagged(tag, value, path, depth);
  return { sum: { $case: 'variant', value: { variantId: metadataType('AnyValue'), constructor: tag, value: inner } } };
}

function readTagged(tag: string, value: unknown, path: string, depth: number): Value {
  switch (tag) {
    case 'AV_Text':
      return { sum: { $case: 'text', value: textOf(value, path) } };
    case 'AV_Party':
      return { sum: { $case: 'party', value: textOf(value, path) } };
    case 'AV_ContractId':
      return { sum: { $case: 'contractId', value: contractIdOf(value, path) } };
    case 'AV_Bool':
      if (typeof value !== 'boolean') throw new ChoiceContextError(path, 'not a boolean');
      return { sum: { $case: 'bool', value } };
    case 'AV_Int':
      return { sum: { $case: 'int64', value: int64Of(value, path) } };
    case 'AV_Decimal':
      return { sum: { $case: 'numeric', value: read(path, () => formatAmount(parseAmount(textOf(value, path)))) } };
    case 'AV_Date':
      return { sum: { $case: 'date', value: read(path, () => parseDate(textOf(value, path))) } };
    case 'AV_Time':
      return { sum: { $case: 'timestamp', value: read(path, () => parseRecordTime(textOf(value, path))) } };
    case 'AV_RelTime':
      return relTimeOf(value, path);
    case 'AV_List': {
      if (!Array.isArray(value)) throw new ChoiceContextError(path, 'not a list');
      const elements = value.map((element: unknown, index) => readAnyValue(element, `${path}[${index}]`, depth + 1));
      return { sum: { $case: 'list', value: { elements } } };
    }
    case 'AV_Map': {
      const map = z.record(z.string(), z.unknown()).safeParse(value);
      if (!map.success) throw new ChoiceContextError(path, 'not a map');
      const entries = Object.entries(map.data);
      return textMap(entries.map(([key, entry]) => [key, readAnyValue(entry, `${path}.${key}`, depth + 1)] as const));
    }
    default:
      throw new ChoiceContextError(path, `an unknown kind of value, ${tag.slice(0, 40)}`);
  }
}

function textOf(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new ChoiceContextError(path, 'not a text');
  return value;
}

function contractIdOf(value: unknown, path: string): string {
  const text = textOf(value, path);
  if (!/^(?:[0-9a-f]{2}){1,255}$/.test(text)) throw new ChoiceContextError(path, 'not a contract id');
  return text;
}

/** Daml-JSON prints integers as texts and takes numbers too; a number that a double cannot hold exactly is refused. */
function int64Of(value: unknown, path: string): bigint {
  const isText = typeof value === 'string' && /^-?\d{1,19}$/.test(value);
  if (!isText && !(typeof value === 'number' && Number.isSafeInteger(value))) {
    throw new ChoiceContextError(path, 'not an integer');
  }
  const integer = BigInt(value as string | number);
  if (integer < INT64_MIN || integer > INT64_MAX) throw new ChoiceContextError(path, 'beyond 64 bits');
  return integer;
}

function relTimeOf(value: unknown, path: string): Value {
  const parsed = z.strictObject({ microseconds: z.unknown() }).safeParse(value);
  if (!parsed.success) throw new ChoiceContextError(path, 'not {microseconds}');
  const micros: Value = { sum: { $case: 'int64', value: int64Of(parsed.data.microseconds, `${path}.microseconds`) } };
  // The package id of DA.Time.Types is the node's to fill in: it is not part of the standard.
  const fields = [{ label: 'microseconds', value: micros }];
  return { sum: { $case: 'record', value: { recordId: undefined, fields } } };
}

function read<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof ChoiceContextError) throw cause;
    throw new ChoiceContextError(path, 'cannot be read', { cause });
  }
}

function textMap(entries: readonly (readonly [string, Value])[]): Value {
  const sorted = entries.toSorted(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
  return { sum: { $case: 'textMap', value: { entries: sorted.map(([key, value]) => ({ key, value })) } } };
}

function metadataType(entityName: string): Identifier {
  return { packageId: METADATA_PACKAGE_ID, moduleName: METADATA_MODULE, entityName };
}
