/**
 * The release tier, by `npm run prove`: as many schedules as there is time for, cumulative over runs.
 *
 *     npm run prove -- --minutes 60                 of everything
 *     npm run prove -- --minutes 60 --only soak     seeds | kills | postgres | zombies | soak | figures, or several joined by commas
 *     npm run prove -- --report                     only the table and the page
 *     npm run prove -- --only kills --seed 7        the world with this seed first: blows of kills, postgres or zombies; with --screening where it was one that screens
 *
 * Counts are kept in proof/counts.json and written after every schedule; a run may be broken off at any time. Exit code 1: a violation was found.
 */
import { parseArgs } from 'node:util';
import { drawKill, drawPostgres, drawZombie } from '../test/chaos/schedules.ts';
import { fillCompileCache } from '../test/support/compile-cache.ts';
import { proveBlows } from './prove/blows.ts';
import { presentCounts, readCounts, TIERS, type Tier, writeCounts } from './prove/counts.ts';
import { FIGURES, proveFigures } from './prove/figures.ts';
import { printReport, writePage } from './prove/report.ts';
import { sayer } from './prove/say.ts';
import { proveSeeds } from './prove/seeds.ts';
import { proveSoak } from './prove/soak.ts';
import { soakLines } from './prove/soak-graph.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    only: { type: 'string' },
    figure: { type: 'string' },
    processes: { type: 'string', default: '2' },
    report: { type: 'boolean', default: false },
    seed: { type: 'string' },
    screening: { type: 'boolean', default: false },
  },
});

/** Shares of the time of a run of everything. */
const SHARES: Readonly<Record<Tier, number>> = {
  figures: 0.15,
  kills: 0.25,
  postgres: 0.1,
  zombies: 0.1,
  soak: 0.1,
  seeds: 0.3,
};
const KILLED_INSTANCES = 3;

const minutes = Number(values.minutes);
const processes = Number(values.processes);
const chosen = (values.only?.split(',') ?? Object.keys(SHARES)) as readonly Tier[];
const figures = values.figure?.split(',') ?? FIGURES;
for (const tier of chosen) if (!TIERS.includes(tier)) throw new Error(`There is no tier ${tier}: ${TIERS.join(', ')}.`);
for (const figure of figures)
  if (!FIGURES.includes(figure)) throw new Error(`There is no figure ${figure}: ${FIGURES.join(', ')}.`);
if (!(minutes > 0) || !(processes > 0)) throw new Error('Expected minutes and processes above zero.');
const seed = values.seed === undefined ? undefined : Number(values.seed);
if (seed !== undefined && !(Number.isSafeInteger(seed) && seed > 0)) throw new Error('Expected a seed above zero.');

// As `npm test` reads it: long repetitions are the full ones.
process.env['SLUICE_TIER'] = 'prove';
const counts = readCounts();
const entry = presentCounts(counts);
const before = entry.violations.length;
const failedBefore = entry.harness.length;
const whole = chosen.reduce((sum, tier) => sum + SHARES[tier], 0);

// What was counted is written already; an exit in order takes the processes of the world with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));

if (!values.report) {
  await fillCompileCache(); // Those that are killed leave nothing in it.
  for (const tier of chosen) {
    const seconds = (minutes * 60 * SHARES[tier]) / whole;
    const say = sayer(tier);
    say(`for ${(seconds / 60).toFixed(1)} minutes`);
    const common = { counts, entry, seconds, say };
    const blows = { ...common, tier, instances: KILLED_INSTANCES, seed };
    switch (tier) {
      case 'seeds':
        await proveSeeds({ ...common, processes });
        break;
      case 'kills':
        if (seed !== undefined) {
          await proveBlows({ ...blows, isScreening: values.screening, draw: drawKill });
          break;
        }
        // A third of the time with screening, whose points are passed only there.
        await proveBlows({ ...blows, seconds: seconds / 3, isScreening: true, draw: drawKill });
        await proveBlows({ ...blows, seconds: (2 * seconds) / 3, isScreening: false, draw: drawKill });
        break;
      case 'postgres':
        await proveBlows({ ...blows, isScreening: false, draw: drawPostgres });
        break;
      case 'zombies':
        await proveBlows({ ...blows, isScreening: false, draw: drawZombie });
        break;
      case 'soak':
        await proveSoak(common);
        break;
      case 'figures':
        await proveFigures({ ...common, only: figures });
        break;
    }
    writeCounts(counts);
  }
}
writePage(counts, soakLines());
printReport(counts);
const found = entry.violations.slice(before);
for (const { tier, what, how } of found) console.log(`VIOLATION (${tier}) ${how}\n${what}\n`);
// These prove nothing, and may be what a fault of Sluice looks like from outside.
for (const failure of entry.harness.slice(failedBefore)) console.log(`THE HARNESS FAILED (${failure})\n`);
process.exitCode = found.length > 0 ? 1 : 0;
