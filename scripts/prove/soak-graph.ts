/** The samples of a soak as a picture, docs/reliability-soak.svg: memory, handles and lag over the minutes. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { median, slopeOf } from '../../bench/statistics.ts';
import { PROJECT } from './counts.ts';

export type Sample = {
  /** Seconds since the beginning. */
  readonly at: number;
  /** Megabytes resident. */
  readonly memory: number;
  readonly handles: number;
  /** Updates that the participant shows and the database does not have. */
  readonly lag: number;
  readonly faults: number;
};

const WIDTH = 800;
const HEIGHT = 150;
const LEFT = 70;
const CURVES = [
  { field: 'memory', name: 'resident memory (MB)', colour: '#1f6feb' },
  { field: 'handles', name: 'open handles', colour: '#2da44e' },
  { field: 'lag', name: 'lag (updates)', colour: '#bf3989' },
] as const;

export function drawSoak(samples: readonly Sample[]): void {
  if (samples.length < 2) return;
  const end = samples.at(-1)?.at ?? 1;
  const curves = CURVES.map(({ field, name, colour }, index) => {
    const top = 30 + index * (HEIGHT + 50);
    const max = Math.max(1, ...samples.map((sample) => sample[field]));
    const points = samples.map(
      (sample) =>
        `${(LEFT + (sample.at / end) * (WIDTH - LEFT - 10)).toFixed(1)},${(top + HEIGHT - (sample[field] / max) * HEIGHT).toFixed(1)}`,
    );
    return [
      `<text x="${LEFT}" y="${top - 8}">${name}</text>`,
      `<line x1="${LEFT}" y1="${top + HEIGHT}" x2="${WIDTH - 10}" y2="${top + HEIGHT}" stroke="#8886"/>`,
      `<text x="${LEFT - 8}" y="${top + 10}" text-anchor="end">${max}</text>`,
      `<text x="${LEFT - 8}" y="${top + HEIGHT}" text-anchor="end">0</text>`,
      `<polyline fill="none" stroke="${colour}" stroke-width="1.2" points="${points.join(' ')}"/>`,
    ].join('\n');
  });
  const height = 40 + CURVES.length * (HEIGHT + 50);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#57606a">
<title>Memory, handles and lag over the soak</title>
${curves.join('\n')}
<text x="${WIDTH - 10}" y="${height - 12}" text-anchor="end">${(end / 60).toFixed(0)} minutes, ${samples.at(-1)?.faults ?? 0} faults</text>
</svg>
`;
  writeFileSync(join(PROJECT, 'docs/reliability-soak.svg'), svg);
}

/** About proof/soak.csv, as Markdown; that nothing was soaked yet where there is none. */
export function soakLines(): readonly string[] {
  const file = join(PROJECT, 'proof/soak.csv');
  if (!existsSync(file)) return ['Nothing was soaked yet.'];
  const rows = readFileSync(file, 'utf8').trim().split('\n').slice(1);
  const samples = rows.map((row) => row.split(',').map(Number));
  const end = samples.at(-1);
  if (end === undefined || samples.length < 8) return ['Too short to say anything.'];
  const settled = samples.slice(Math.floor(samples.length / 4));
  const lines = CURVES.map(({ name }, index) => {
    const values = (part: readonly (readonly number[])[]): number[] => part.map((row) => row[index + 1] ?? 0);
    const slope = slopeOf(settled.map((row) => [(row[0] ?? 0) / 3_600, row[index + 1] ?? 0] as const));
    const half = Math.floor(settled.length / 2);
    return `| ${name} | ${median(values(settled.slice(0, half)))} | ${median(values(settled.slice(half)))} | ${slope.toFixed(1)} |`;
  });
  return [
    `${((end[0] ?? 0) / 60).toFixed(0)} minutes with ${end[4]} faults; the process that was never killed, sampled every five seconds (\`proof/soak.csv\`), its first quarter left out.`,
    '',
    '| | median, first half | median, second half | slope per hour |',
    '|---|---:|---:|---:|',
    ...lines,
    '',
    '![Memory, handles and lag over the soak](reliability-soak.svg)',
  ];
}
