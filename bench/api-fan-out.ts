/**
 * One event to a thousand sockets: from the event log through the API, against a bare broadcast of `ws` of messages as long. Servers and clients are processes of their own and take turns. Events are
 * committed twenty at a time, as fast as they are delivered.
 */
import { join } from 'node:path';
import { createDatabase } from '../src/db/connection.ts';
import { createSystemLogger } from '../src/env/system.ts';
import { createRows } from '../test/support/rows.ts';
import { type Child, startChild } from './child.ts';
import { withServer } from './server.ts';
import { median, spread } from './statistics.ts';

export type FanOutOrder = { readonly events: number; readonly bytes: number };

const ROUNDS = 5;
const SOCKETS = 1_000;
const FEW_SOCKETS = 10;
const EVENTS = 100;
/** Bytes of a delivery’s memo: with it a message has some 620. */
const MEMO_BYTES = 240;
const QUERY =
  'subscription { deposits { cursor eventId kind amount memo account transferId transfer { status } depositAccount { memo } } }';

export async function benchApiFanOut({ rounds = ROUNDS }: { readonly rounds?: number }): Promise<void> {
  await withServer(async (connectionString) => {
    const logger = createSystemLogger('error');
    const { db, close } = createDatabase({ connectionString, applicationName: 'bench', poolSizeMax: 20, logger });
    const started: Child<unknown>[] = [];
    const start = async <Ready>(script: string, options: object): Promise<Child<Ready>> => {
      const child = await startChild<Ready>(join(import.meta.dirname, script), options);
      started.push(child);
      return child;
    };
    let line = 0;
    const rows = createRows(db);
    const pay = async (events: number): Promise<void> => {
      for (let paid = 0; paid < events; paid += 20) {
        const batch = Array.from({ length: Math.min(20, events - paid) }, async () => {
          await rows.depositEvent(`fan-${line++}`, { memo: 'x'.repeat(MEMO_BYTES), owner: 'alice' });
        });
        await Promise.all(batch);
      }
    };
    try {
      const sluice = await start<{ port: number }>('api-fan-out-server.ts', { kind: 'sluice', connectionString });
      const raw = await start<{ port: number }>('api-fan-out-server.ts', { kind: 'raw', connectionString });
      const { port } = sluice.ready;
      const few = await start('api-fan-out-clients.ts', { port, sockets: FEW_SOCKETS, query: QUERY });
      const statementsOfFew = await statementsPerEvent(sluice, async () => {
        await delivered(few, FEW_SOCKETS, async () => await pay(EVENTS));
      });
      await few.stop();
      const ours = await start('api-fan-out-clients.ts', { port, sockets: SOCKETS, query: QUERY });
      const theirs = await start('api-fan-out-clients.ts', { port: raw.ready.port, sockets: SOCKETS, query: null });
      const rates: number[] = [];
      const bare: number[] = [];
      let statements = 0;
      for (let round = -1; round < rounds; round++) {
        let bytes = 0;
        let rate = 0;
        statements = await statementsPerEvent(sluice, async () => {
          ({ rate, bytes } = await delivered(ours, SOCKETS, async () => await pay(EVENTS)));
        });
        const order: FanOutOrder = { events: EVENTS, bytes };
        const limit = await delivered(theirs, SOCKETS, async () => raw.send(JSON.stringify(order)));
        if (round < 0) continue;
        rates.push(rate);
        bare.push(limit.rate);
        if (round === 0) console.log(`api fan-out: ${SOCKETS} sockets, ${EVENTS} events a round, ${bytes} bytes each`);
      }
      const shown = (values: readonly number[]): string => `${median(values).toFixed(0)} ${spread(values)}`;
      const ratios = rates.map((rate, round) => rate / (bare[round] ?? Number.NaN));
      console.log(`  sluice ${shown(rates)} deliveries/s, raw ws broadcast ${shown(bare)}`);
      console.log(`  ratio ${median(ratios).toFixed(2)} ${spread(ratios)} (goal: at least 0.35)`);
      console.log(
        `  SQL per event: ${statementsOfFew.toFixed(2)} with ${FEW_SOCKETS} subscribers, ${statements.toFixed(2)} with ${SOCKETS}`,
      );
    } finally {
      for (const child of started) await child.stop();
      await close();
    }
  });
}

async function statementsPerEvent(sluice: Child<unknown>, work: () => Promise<void>): Promise<number> {
  const count = async (): Promise<number> => {
    const { promise, resolve } = Promise.withResolvers<number>();
    answers.set(sluice, (message) => resolve((message as { statements: number }).statements));
    listen(sluice);
    sluice.send('count');
    return await promise;
  };
  await count();
  await work();
  return (await count()) / EVENTS;
}

async function delivered(clients: Child<unknown>, sockets: number, work: () => Promise<void>) {
  const { promise, resolve } = Promise.withResolvers<{ ms: number; bytes: number }>();
  const counting = Promise.withResolvers<void>();
  answers.set(clients, (message) => {
    if (message === 'counting') counting.resolve();
    else resolve(message as { ms: number; bytes: number });
  });
  listen(clients);
  clients.send(String(sockets * EVENTS));
  await counting.promise;
  await work();
  const { ms, bytes } = await promise;
  return { rate: (sockets * EVENTS * 1_000) / ms, bytes };
}

/** What is done with the next messages of a process. */
const answers = new WeakMap<Child<unknown>, (message: unknown) => void>();
const heard = new WeakSet<Child<unknown>>();

function listen(child: Child<unknown>): void {
  if (heard.has(child)) return;
  heard.add(child);
  child.onMessage((message) => answers.get(child)?.(message));
}
