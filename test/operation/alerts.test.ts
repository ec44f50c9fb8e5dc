/** That whoever is woken finds what he is told of: metrics that exist, pages that exist, commands that exist. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FREEZE_REASONS } from '../../src/ingestion/freezes.ts';
import { POSITION_IN_DOUBT } from '../../src/ingestion/position.ts';
import { ALERTS } from '../../src/metrics/alert-list.ts';
import { METRICS, type MetricDeclaration } from '../../src/metrics/metric-list.ts';
import { STUCK_CODES } from '../../src/read/stuck-withdrawals.ts';
import { PROJECT } from '../e2e/sluice-process.ts';

const read = async (path: string): Promise<string> => await readFile(join(PROJECT, path), 'utf8');
const metrics: Readonly<Record<string, MetricDeclaration>> = METRICS;

/** The series of a histogram and their metric. */
function metricOf(series: string): MetricDeclaration | undefined {
  return metrics[series] ?? metrics[series.replace(/_(?:bucket|count|sum)$/, '')];
}

describe.each(ALERTS)('$name', ({ expression, runbook, name, summary }) => {
  test('asks for metrics that exist, by labels that they have', () => {
    const asked = [...expression.matchAll(/\b(sluice_\w+)(?:\{([^}]*)\})?/g)];
    expect(asked.length).toBeGreaterThan(0);
    for (const [, series = '', matchers = ''] of asked) {
      const metric = metricOf(series);
      expect([series, metric?.kind]).toEqual([series, expect.any(String)]);
      for (const [, label = ''] of matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"/g))
        expect([series, ...(metric?.labels ?? [])]).toContain(label);
    }
    // What the summary names is still there after the aggregation.
    const kept = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(', '));
    for (const [, label = ''] of summary.matchAll(/\$labels\.(\w+)/g)) {
      if (kept.length > 0) expect(kept).toContain(label);
      else expect(label).toBe('instance');
    }
  });

  test('has a page that says what it means, what to look at and what to do', async () => {
    const page = await read(`docs/runbooks/${runbook}`);
    expect(page.length).toBeGreaterThan(500);
    expect(await read('deploy/alerts.yaml')).toContain(`- alert: ${name}\n`);
    expect(await read('docs/metrics.md')).toContain(`| \`${name}\` `);
  });
});

test('every metric is described, in a sentence', async () => {
  const page = await read('docs/metrics.md');
  for (const [name, { help }] of Object.entries(metrics)) {
    expect(page).toContain(`| \`${name}\` `);
    expect(help).toMatch(/^[A-Z01].{10,}\.$/s);
  }
});

test('every reason that stops something has its line on the page of its alert', async () => {
  const lines = async (page: string): Promise<string> =>
    (await read(`docs/runbooks/${page}`))
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .join('\n');
  const [halted, frozen, stuck] = [
    await lines('halted-stream.md'),
    await lines('money-frozen.md'),
    await lines('withdrawals-stuck.md'),
  ];
  for (const code of POSITION_IN_DOUBT) expect(halted).toContain(`\`${code}\``);
  for (const code of FREEZE_REASONS) expect(frozen).toContain(`\`${code}\``);
  for (const code of Object.keys(STUCK_CODES)) expect(stuck).toContain(`\`${code}\``);
});

test('every command, variable and page that a runbook names exists', async () => {
  const sources = (await readdir(join(PROJECT, 'src/cli'))).filter((file) => file.endsWith('.ts'));
  const texts = await Promise.all(sources.map(async (file) => await read(`src/cli/${file}`)));
  const commands = new Set(
    [...texts.join('\n').matchAll(/(?:new Command|\.command)\(\s*'([a-z-]+)/g)].map(([, name]) => name),
  );
  const configuration = await read('docs/configuration.md');
  const pages = await readdir(join(PROJECT, 'docs/runbooks'));
  for (const file of pages) {
    const text = await read(`docs/runbooks/${file}`);
    for (const [, command] of text.matchAll(/\bsluice (?:-- )?([a-z][a-z-]+)/g))
      expect([file, [...commands]]).toEqual([file, expect.arrayContaining([command])]);
    for (const [, variable] of text.matchAll(/\b(SLUICE_[A-Z_]+)\b/g))
      expect([file, configuration.includes(`\`${variable}\``) ? variable : '']).toEqual([file, variable]);
    for (const [, series = ''] of text.matchAll(/`(sluice_\w+)`/g))
      expect([file, series, metricOf(series)?.kind]).toEqual([file, series, expect.any(String)]);
    for (const [, page = ''] of text.matchAll(/\]\(([a-z-]+\.md)/g)) expect(pages).toContain(page);
  }
});
