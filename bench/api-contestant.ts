/**
 * One contestant of bench/api-http.ts in a process of its own: Sluice's API as it serves, the same SQL behind plain `node:http`, or mercurius with
 * its JIT on the same schema. All of them have as many connections to the same database.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import mercurius from 'mercurius';
import pg from 'pg';
import { createDatabase } from '../src/db/connection.ts';
import { createSystemLogger } from '../src/env/system.ts';
import { API_LIMITS_DEFAULT } from '../src/schema/api-limits.ts';
import { createSchema } from '../src/schema/index.ts';
import { createPrincipals } from '../src/server/principals.ts';
import { startApi } from '../test/support/api.ts';
import { API_BODY, type ApiRow, answerOf } from './api-question.ts';

const POOL = 10;

const { kind, connectionString } = JSON.parse(process.argv[2] ?? '') as {
  readonly kind: 'sluice' | 'plain' | 'mercurius';
  readonly connectionString: string;
};
const logger = createSystemLogger('error');
const { db, pool } = createDatabase({ connectionString, applicationName: `bench-${kind}`, poolSizeMax: POOL, logger });

const startSluice = async () =>
  await startApi({ connectionString, db, logger, close: async () => undefined }, { limits: UNHURRIED });

/** One client asks as fast as it can. */
const UNHURRIED = {
  ...API_LIMITS_DEFAULT,
  service: { ...API_LIMITS_DEFAULT.service, requestsPerSecond: 1_000_000, requestsBurst: 1_000_000 },
};

/** What Sluice asks the database for the question, as it asks it. */
async function recordStatements(): Promise<readonly { readonly text: string; readonly values: readonly unknown[] }[]> {
  const api = await startSluice();
  const recorded: { text: string; values: readonly unknown[] }[] = [];
  const query = pg.Client.prototype.query;
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [text, values] = args;
    if (typeof text === 'string' && Array.isArray(values) && /FROM\s+(transfer|deposit_account)\b/.test(text)) {
      recorded.push({ text, values });
    }
    return Reflect.apply(query, this, args);
  } as typeof query;
  await fetch(`${api.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: API_BODY,
  });
  pg.Client.prototype.query = query;
  await api.stop();
  return recorded;
}

async function servePlain(): Promise<number> {
  const [list, children] = await recordStatements();
  if (list === undefined || children === undefined) throw new Error('The question asks the database otherwise.');
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      answer().then(
        (text) =>
          response
            .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
            .end(text),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
  });
  async function answer(): Promise<string> {
    const { rows } = await pool.query<ApiRow>(list?.text ?? '', [...(list?.values ?? [])]);
    // One more than the page, by which it is known whether there is another.
    const page = rows.slice(0, -1);
    const ids = [...new Set(page.map(({ depositAccountId }) => depositAccountId))];
    const accounts = await pool.query<{ id: string; memo: string }>(children?.text ?? '', [ids]);
    return JSON.stringify(answerOf(page, new Map(accounts.rows.map(({ id, memo }) => [id, memo]))));
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function serveMercurius(): Promise<number> {
  const app = Fastify();
  const principal = await createPrincipals([]).authenticate(undefined);
  await app.register(mercurius, {
    schema: createSchema(),
    jit: 1,
    // What the question needs of it.
    context: () => ({ db, principal, limits: API_LIMITS_DEFAULT, network: 'testnet' }),
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as AddressInfo).port;
}

const port =
  kind === 'sluice'
    ? Number(new URL((await startSluice()).url).port)
    : await { plain: servePlain, mercurius: serveMercurius }[kind]();
process.send?.({ port });
