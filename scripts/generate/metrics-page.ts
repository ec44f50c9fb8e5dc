/** docs/metrics.md and deploy/alerts.yaml, from the lists that the process itself uses. */
import { ALERTS } from '../../src/metrics/alert-list.ts';
import { METRICS, type MetricDeclaration } from '../../src/metrics/metric-list.ts';

const INTRODUCTION = `# Metrics

Made by \`npm run generate\` from \`src/metrics/metric-list.ts\`. Every process serves them as Prometheus text at \`/metrics\` of its admin address (\`SLUICE_ADMIN_HOST\`, \`SLUICE_ADMIN_PORT\`).
No metric has a customer, an amount or a memo; treasuries go by the names of the configuration.

Metrics **of the tables** are read from the database, at most every ten seconds, and are the same at every process that shares it: take the \`max\` over instances. While the database does not
answer they are missing, and \`sluice_database_up\` is 0. Those **of the process** are its own, and begin anew with it. Labels with codes of others keep to 64 values; what comes after them is \`OTHER\`.
`;

export function printMetricsPage(): string {
  const all: readonly (readonly [string, MetricDeclaration])[] = Object.entries(METRICS);
  const table = (from: MetricDeclaration['from']): string => {
    const rows = all
      .filter(([, metric]) => metric.from === from)
      .map(([name, { kind, labels, help }]) => [
        `\`${name}\``,
        kind,
        labels.map((label) => `\`${label}\``).join(', '),
        help,
      ]);
    return tableOf([['metric', 'kind', 'labels', 'meaning'], ...rows]);
  };
  const alerts = ALERTS.map(({ name, severity, for: duration, summary, runbook }) => [
    `\`${name}\``,
    severity,
    duration,
    summary.replaceAll(/\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}/g, '*$1*'),
    `[${runbook.replace('.md', '')}](runbooks/${runbook})`,
  ]);
  return `${INTRODUCTION}
## Of the tables

${table('TABLE')}

## Of the process

${table('PROCESS')}

## Alerts

\`deploy/alerts.yaml\`, for Prometheus. \`page\`: money stands still or may be wrong. \`ticket\`: within a working day.

${tableOf([['alert', 'severity', 'after', 'says', 'runbook'], ...alerts])}
`;
}

/** Strings as JSON has them are strings as YAML has them. */
export function printAlerts(): string {
  const rules = ALERTS.map(
    ({ name, expression, for: duration, severity, summary, runbook }) => `      - alert: ${name}
        expr: ${JSON.stringify(expression)}
        for: ${duration}
        labels:
          severity: ${severity}
        annotations:
          summary: ${JSON.stringify(summary)}
          runbook: docs/runbooks/${runbook}
`,
  );
  return `# Alert rules for Prometheus. Made by \`npm run generate\` from src/metrics/alert-list.ts; described in docs/metrics.md.
groups:
  - name: sluice
    rules:
${rules.join('')}`;
}

/** Padded, as the formatter wants tables in documents. */
function tableOf(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)));
  lines.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  );
  return lines.map((row) => `| ${row.join(' | ')} |`).join('\n');
}
