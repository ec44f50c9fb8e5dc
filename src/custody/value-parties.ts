import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';

/** Every party named anywhere inside `value`. */
export function partiesIn(value: Value | undefined): readonly string[] {
  const sum = value?.sum;
  switch (sum?.$case) {
    case 'party':
      return [sum.value];
    case 'optional':
    case 'variant':
      return partiesIn(sum.value.value);
    case 'list':
      return sum.value.elements.flatMap(partiesIn);
    case 'record':
      return sum.value.fields.flatMap((field) => partiesIn(field.value));
    case 'textMap':
      return sum.value.entries.flatMap((entry) => partiesIn(entry.value));
    case 'genMap':
      return sum.value.entries.flatMap((entry) => [...partiesIn(entry.key), ...partiesIn(entry.value)]);
    default:
      return [];
  }
}
