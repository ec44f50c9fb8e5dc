/**
 * Brings a value that a client sent into the full form of its type: labels and type ids filled in, positional fields named, trailing
 * None fields restored, map entries in key order. As participants do before they interpret a command.
 */
import { PermanentError } from '../../env/errors.ts';
import type { LfType } from '../recorded/lf-type.ts';
import { type DamlRecord, list, optional, textMap, type Value, variant } from './value.ts';

const SCALARS = {
  text: 'text',
  party: 'party',
  contractId: 'contractId',
  time: 'timestamp',
  date: 'date',
  int: 'int64',
  bool: 'bool',
  unit: 'unit',
} as const;

/** @throws PermanentError SIMNET_TYPE_MISMATCH saying what was expected where. */
export function typedValue(value: Value | undefined, type: LfType, at: string): Value {
  const sum = value?.sum;
  const refuse = (): never => {
    throw new PermanentError('SIMNET_TYPE_MISMATCH', `${at}: expected ${type.kind}, found ${sum?.$case ?? 'nothing'}`);
  };
  if (value === undefined || sum === undefined) return refuse();
  switch (type.kind) {
    case 'guess':
      return value;
    case 'optional':
      if (sum.$case !== 'optional') return refuse();
      return optional(sum.value.value && typedValue(sum.value.value, type.of, at));
    case 'list':
      if (sum.$case !== 'list') return refuse();
      return list(sum.value.elements.map((element, index) => typedValue(element, type.of, `${at}[${index}]`)));
    case 'textMap': {
      if (sum.$case !== 'textMap') return refuse();
      const entries = sum.value.entries.map(
        ({ key, value: inner }) => [key, typedValue(inner, type.of, `${at}.${key}`)] as const,
      );
      return textMap(new Map(entries));
    }
    case 'genMap': {
      if (sum.$case !== 'genMap') return refuse();
      const entries = sum.value.entries.map((entry) => ({
        key: typedValue(entry.key, type.key, `${at} key`),
        value: typedValue(entry.value, type.value, `${at} value`),
      }));
      return { sum: { $case: 'genMap', value: { entries } } };
    }
    case 'record':
      if (sum.$case !== 'record') return refuse();
      return { sum: { $case: 'record', value: typedRecord(sum.value, type, at) } };
    case 'variant': {
      const inner = sum.$case === 'variant' ? type.cases()[sum.value.constructor] : undefined;
      if (sum.$case !== 'variant' || inner === undefined) return refuse();
      return variant(
        type.id,
        sum.value.constructor,
        typedValue(sum.value.value, inner, `${at}.${sum.value.constructor}`),
      );
    }
    case 'numeric': {
      const match = sum.$case === 'numeric' ? /^(-?)0*(\d{1,28})(?:\.(\d{1,10}))?$/.exec(sum.value) : null;
      if (match === null) return refuse();
      const [, sign = '', whole = '', fraction = ''] = match;
      return { sum: { $case: 'numeric', value: `${sign}${whole}.${fraction.padEnd(10, '0')}` } };
    }
    default:
      return sum.$case === SCALARS[type.kind] ? value : refuse();
  }
}

function typedRecord(
  { fields }: DamlRecord,
  type: Extract<LfType, { readonly kind: 'record' }>,
  at: string,
): DamlRecord {
  const isLabelled = fields.some(({ label }) => label !== '');
  const surplus = isLabelled
    ? fields.find(({ label }) => !type.fields.some(([known]) => known === label))
    : fields[type.fields.length];
  if (surplus !== undefined) {
    throw new PermanentError('SIMNET_TYPE_MISMATCH', `${at}: unexpected field ${surplus.label}`);
  }
  return {
    recordId: type.id,
    fields: type.fields.map(([label, fieldType], index) => {
      const found = (isLabelled ? fields.find((field) => field.label === label) : fields[index])?.value;
      const value = found ?? (fieldType.kind === 'optional' ? optional(undefined) : undefined);
      return { label, value: typedValue(value, fieldType, `${at}.${label}`) };
    }),
  };
}
