/**
 * From the beginning of a write to a subscriber's socket, against the beginning of a bare insert with a NOTIFY to the callback of whoever listens: what PostgreSQL alone takes of it. In turns, on the
 * same database, one write after the other.
 */
import { join } from 'node:path';
import { sql } from 'kysely';
import pg from 'pg';
import { createDatabase } from '../src/db/connection.ts';
import { appendEvents } from '../src/db/event-log.ts';
import { createSystemLogger, systemClock } from '../src/env/system.ts';
import { connectAcknowledged } from '../test/support/ws-client.ts';
import { startChild } from './child.ts';
import { withServer } from './server.ts';
import { quantile } from './statistics.ts';

const WRITES = 2_100;
/** The first ones meet code that was never run. */
const WARM_UP = 100;
const QUERY = 'subscription { events { cursor eventId payload } }';

export async function benchApiLatency(): Promise<void> {
  await withServer(async (connectionString) => {
    const logger = createSystemLogger('error');
    const { db, close } = createDatabase({ connectionString, applicationName: 'bench', poolSizeMax: 2, logger });
    const script = join(import.meta.dirname, 'api-fan-out-server.ts');
    const server = await startChild<{ port: number }>(script, { kind: 'sluice', connectionString });
    const listener = new pg.Client({ connectionString });
    const subscriber = await connectAcknowledged(`http://127.0.0.1:${server.ready.port}`);
    try {
      await listener.connect();
      await listener.query('LISTEN bench_latency');
      await sql`CREATE TABLE bench_latency (id bigint PRIMARY KEY, payload jsonb NOT NULL)`.execute(db);
      subscriber.send({ id: '1', type: 'subscribe', payload: { query: QUERY } });
      await systemClock.sleep(500);

      const ours: number[] = [];
      const bare: number[] = [];
      for (let write = 0; write < WRITES; write++) {
        const payload = { id: `latency-${write}`, text: 'x'.repeat(300) };
        const arrived = subscriber.next();
        const begun = performance.now();
        await db.transaction().execute(async (tx) => {
          const { id: eventId } = payload;
          await appendEvents(tx, [
            { eventId, type: 'bench.latency', subject: eventId, payload, recordedAt: systemClock.nowMicros() },
          ]);
        });
        await arrived;
        ours.push(performance.now() - begun);

        const notified = new Promise((resolve) => listener.once('notification', resolve));
        const bareBegun = performance.now();
        await db.transaction().execute(async (tx) => {
          await sql`WITH written AS (INSERT INTO bench_latency VALUES (${write}::bigint, ${JSON.stringify(payload)}::jsonb))
            SELECT pg_notify('bench_latency', '')`.execute(tx);
        });
        await notified;
        bare.push(performance.now() - bareBegun);
      }
      report(ours.slice(WARM_UP), bare.slice(WARM_UP));
    } finally {
      await subscriber.close();
      await listener.end();
      await server.stop();
      await close();
    }
  });
}

function report(ours: readonly number[], bare: readonly number[]): void {
  const at = (values: readonly number[], share: number): string => quantile(values, share).toFixed(2);
  const ratio = (share: number): string => (quantile(ours, share) / quantile(bare, share)).toFixed(2);
  console.log(`api latency: ${ours.length} writes, from the beginning of each to a subscriber`);
  console.log(
    `  sluice p50 ${at(ours, 0.5)} ms, p99 ${at(ours, 0.99)} ms; bare NOTIFY p50 ${at(bare, 0.5)} ms, p99 ${at(bare, 0.99)} ms`,
  );
  console.log(`  ratio p50 ${ratio(0.5)} (goal: at most 2), p99 ${ratio(0.99)} (goal: at most 3)`);
}
