/**
 * A process that asks for one withdrawal, as a server does, and strikes itself with SIGKILL around the n-th statement it sends to PostgreSQL: `KILL_AT=3:before`, or `3:sent`, when the statement is on its
 * way and nobody has heard the answer. When it lives it prints how many it sent.
 */
import { writeSync } from 'node:fs';
import { createDatabase } from '../../src/db/connection.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';

const { connectionString, idKey, network, request } = JSON.parse(process.env['REQUEST'] ?? '{}');
const [killAt, moment] = (process.env['KILL_AT'] ?? '0:never').split(':');
let sent = 0;

const { db, pool, close } = createDatabase({
  connectionString,
  applicationName: 'test-request',
  poolSizeMax: 1,
  logger: createSystemLogger('error'),
});
pool.on('connect', (client) => {
  const query = client.query.bind(client);
  const struck = (...statement: unknown[]): unknown => {
    sent += 1;
    const isHit = sent === Number(killAt);
    if (isHit && moment === 'before') process.kill(process.pid, 'SIGKILL');
    const answer: unknown = Reflect.apply(query, client, statement);
    // Given to the kernel in the next turn of the loop: the server may get it, we never hear of it.
    if (isHit && moment === 'sent') setImmediate(() => process.kill(process.pid, 'SIGKILL'));
    return answer;
  };
  Object.assign(client, { query: struck });
});

const service = createWithdrawals({ db, clock: systemClock, network, idKey: Buffer.from(idKey, 'hex') });
await service.create({ ...request, amount: parseAmount(request.amount) });
writeSync(1, `${sent}\n`);
await close();
