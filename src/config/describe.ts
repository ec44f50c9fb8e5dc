/** The configuration as a table for people: docs/configuration.md, the README and `--help` are made from it. */
import { CONFIG_KEYS, type ConfigKey } from './keys.ts';

export type ConfigRow = Pick<
  ConfigKey,
  'variable' | 'type' | 'unit' | 'meaning' | 'isSecret' | 'default' | 'isRequired'
>;

/** @returns one row per variable, in the order of their declaration. */
export function describeConfig(): readonly ConfigRow[] {
  return Object.values(CONFIG_KEYS).map((key: ConfigKey) => ({
    variable: key.variable,
    type: key.type,
    unit: key.unit,
    meaning: key.meaning,
    isSecret: key.isSecret,
    default: key.default,
    isRequired: key.isRequired,
  }));
}

/** @returns a Markdown table of {@link describeConfig}. */
export function printConfigTable(): string {
  const rows = describeConfig().map((row) => {
    const type = row.unit === null ? row.type : `${row.unit}, ${row.type}`;
    const standard =
      row.default === null
        ? row.isRequired
          ? '**required**'
          : 'unset'
        : row.default === ''
          ? 'empty'
          : `\`${row.default}\``;
    return [`\`${row.variable}\``, type, standard, row.isSecret ? `${row.meaning} Secret.` : row.meaning];
  });
  const table = [['variable', 'value', 'default', 'meaning'], ...rows].map((cells) =>
    cells.map((cell) => cell.replaceAll('|', '\\|')),
  );
  // Padded, as the formatter wants tables in documents.
  const widths = table[0]?.map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0))) ?? [];
  const lines = table.map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)));
  lines.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  );
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
