/**
 * A process that posts one transfer or asks for one withdrawal, as a server does, and strikes itself with SIGKILL: `KILL_AT=commit` when the COMMIT is on its way and nobody has heard the answer,
 * `KILL_AT=answer` when it is committed and the caller has not been told. Else it prints the answer.
 */
import { writeSync } from 'node:fs';
import { createPostTransfers } from '../../src/books/post-transfers.ts';
import { createDatabase } from '../../src/db/connection.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';

const { connectionString, idKey, postTransfer, withdrawal } = JSON.parse(process.env['BOOKS_TASK'] ?? '{}');
const killAt = process.env['KILL_AT'] ?? 'never';

const { db, pool, close } = createDatabase({
  connectionString,
  applicationName: 'test-books-child',
  poolSizeMax: 1,
  connectTimeoutMs: 60_000,
  logger: createSystemLogger('error'),
});
pool.on('connect', (client) => {
  const query = client.query.bind(client);
  const struck = (...statement: unknown[]): unknown => {
    const answer: unknown = Reflect.apply(query, client, statement);
    const isCommit = JSON.stringify(statement[0] ?? '')
      .toLowerCase()
      .includes('commit');
    // Given to the kernel in the next turn of the loop: the server may get it, we never hear of it.
    if (killAt === 'commit' && isCommit) setImmediate(() => process.kill(process.pid, 'SIGKILL'));
    return answer;
  };
  Object.assign(client, { query: struck });
});

const common = { db, clock: systemClock, network: 'testnet' };
const amountsOf = (lines: readonly { readonly amount: string }[]) =>
  lines.map((line) => ({ ...line, amount: parseAmount(line.amount) }));
const answer =
  postTransfer === undefined
    ? await createWithdrawals({ ...common, idKey: Buffer.from(idKey, 'hex') }).create({
        ...withdrawal,
        amount: parseAmount(withdrawal.amount),
      })
    : await createPostTransfers(common).post({ ...postTransfer, lines: amountsOf(postTransfer.lines) });
if (killAt === 'answer') process.kill(process.pid, 'SIGKILL');
writeSync(1, `${JSON.stringify(answer)}\n`);
await close();
