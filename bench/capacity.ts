/**
 * What one core of Sluice takes in, and what it costs in disk: the numbers of docs/capacity.md. `node bench/capacity.ts [updates]`.
 *
 * A participant in a process of its own, PostgreSQL in its own, and the stream worker as `serve` runs it in this one, so that this process's processor time is what ingestion costs. Disk is what the
 * database has grown by, indexes included, from empty tables and after a checkpoint.
 */
import { cpus, loadavg, totalmem } from 'node:os';
import pg from 'pg';
import { startParticipant } from './participant.ts';
import { prepareTreasury, withServer } from './server.ts';
import { hasStored, runWorker } from './worker.ts';

const UPDATES = Number(process.argv[2] ?? 5_000);
const RECORDED = 2_000;

const participant = await startParticipant({ recordedMin: RECORDED, updates: UPDATES });
try {
  await withServer(async (connectionString) => {
    const treasury = await prepareTreasury(connectionString, participant.ready);
    const client = new pg.Client({ connectionString });
    await client.connect();
    const sizeOf = async (): Promise<number> => {
      await client.query('CHECKPOINT');
      const { rows } = await client.query<{ bytes: string }>('SELECT pg_database_size(current_database()) AS bytes');
      return Number(rows[0]?.bytes ?? 0);
    };
    const countOf = async (table: string, where = 'true'): Promise<number> => {
      const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM ${table} WHERE ${where}`);
      return Number(rows[0]?.count ?? 0);
    };
    try {
      const [before, cpuBefore] = [await sizeOf(), process.cpuUsage()];
      const seconds = await runWorker({
        connectionString,
        url: participant.ready.url,
        treasury,
        isDone: hasStored(treasury, UPDATES),
      });
      const { user, system } = process.cpuUsage(cpuBefore);
      const cpuSeconds = (user + system) / 1e6;
      const [bytes, updates] = [(await sizeOf()) - before, await countOf('ledger_update')];
      const deposits = await countOf('event_outbox', `type LIKE 'deposit.%'`);
      const log = await countOf('event', `type LIKE 'deposit.%'`);
      const found = deposits + log;
      const [cpu] = cpus();
      console.log(
        [
          `conditions: ${cpus().length} × ${cpu?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, load ${loadavg()
            .map((each) => each.toFixed(1))
            .join(' ')}, Node.js ${process.versions.node}`,
          `updates stored                   ${updates} in ${seconds.toFixed(1)} s, ${Math.round(updates / seconds)}/s`,
          `processor time of the worker     ${cpuSeconds.toFixed(1)} s, ${Math.round((1e6 * cpuSeconds) / updates)} µs an update`,
          `updates a second and core        ${Math.round(updates / cpuSeconds)}`,
          `deposits among them              ${found}`,
          `deposits a second and core       ${Math.round(found / cpuSeconds)}`,
          `disk                             ${Math.round(bytes / updates)} bytes an update, ${(bytes / updates / 1_073.741824).toFixed(1)} GiB a million`,
        ].join('\n'),
      );
    } finally {
      await client.end();
    }
  });
} finally {
  await participant.stop();
}
