/**
 * How a participant prints values: trailing None fields of records are always cut (since 3.4 even in verbose output), labels and type ids
 * are left out unless the reader asked for them.
 */
import type { DamlRecord, Value } from './value.ts';

export function renderRecord(source: DamlRecord, verbose: boolean): DamlRecord {
  let length = source.fields.length;
  while (length > 0 && isNone(source.fields[length - 1]?.value)) length -= 1;
  return {
    recordId: verbose ? source.recordId : undefined,
    fields: source.fields.slice(0, length).map(({ label, value }) => ({
      label: verbose ? label : '',
      value: value && renderValue(value, verbose),
    })),
  };
}

export function renderValue(value: Value, verbose: boolean): Value {
  const { sum } = value;
  switch (sum?.$case) {
    case 'record':
      return { sum: { $case: 'record', value: renderRecord(sum.value, verbose) } };
    case 'optional':
      return { sum: { $case: 'optional', value: { value: sum.value.value && renderValue(sum.value.value, verbose) } } };
    case 'list':
      return {
        sum: { $case: 'list', value: { elements: sum.value.elements.map((element) => renderValue(element, verbose)) } },
      };
    case 'textMap': {
      const entries = sum.value.entries.map((entry) => ({
        key: entry.key,
        value: entry.value && renderValue(entry.value, verbose),
      }));
      return { sum: { $case: 'textMap', value: { entries } } };
    }
    case 'genMap': {
      const entries = sum.value.entries.map((entry) => ({
        key: entry.key && renderValue(entry.key, verbose),
        value: entry.value && renderValue(entry.value, verbose),
      }));
      return { sum: { $case: 'genMap', value: { entries } } };
    }
    case 'variant': {
      const { variantId, value: inner } = sum.value;
      return {
        sum: {
          $case: 'variant',
          value: {
            variantId: verbose ? variantId : undefined,
            constructor: sum.value.constructor,
            value: inner && renderValue(inner, verbose),
          },
        },
      };
    }
    case 'enum':
      return {
        sum: {
          $case: 'enum',
          value: { enumId: verbose ? sum.value.enumId : undefined, constructor: sum.value.constructor },
        },
      };
    default:
      return value;
  }
}

function isNone(value: Value | undefined): boolean {
  return value?.sum?.$case === 'optional' && value.sum.value.value === undefined;
}
