import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';

/**
 * @returns a field label or map key that stands twice in one record or text map anywhere inside `value`; null: none does. Daml has no such value, and of two parts with one name everybody who reads
 * by name sees only one.
 */
export function nameTwiceIn(value: Value | undefined): string | null {
  const pending: (Value | undefined)[] = [value];
  for (let next = pending.pop(); next !== undefined || pending.length > 0; next = pending.pop()) {
    const sum = next?.sum;
    switch (sum?.$case) {
      case 'optional':
      case 'variant':
        pending.push(sum.value.value);
        break;
      case 'list':
        pending.push(...sum.value.elements);
        break;
      case 'genMap':
        pending.push(...sum.value.entries.flatMap((entry) => [entry.key, entry.value]));
        break;
      case 'record': {
        const twice = firstTwice(sum.value.fields.map(({ label }) => label));
        if (twice !== null) return twice;
        pending.push(...sum.value.fields.map((field) => field.value));
        break;
      }
      case 'textMap': {
        const twice = firstTwice(sum.value.entries.map(({ key }) => key));
        if (twice !== null) return twice;
        pending.push(...sum.value.entries.map((entry) => entry.value));
        break;
      }
    }
  }
  return null;
}

function firstTwice(names: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return null;
}
