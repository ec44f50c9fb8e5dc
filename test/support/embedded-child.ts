/**
 * A process that owns an embedded PostgreSQL: starts it, prints one JSON line about it, and waits. SIGTERM stops it in order; SIGINT is
 * only reported, so that a test can tell whether the terminal's Ctrl-C reaches the server past its owner.
 *
 * Argument: the server's name, or `-` for a throw-away one.
 */
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';

const [, , name = '-'] = process.argv;
const server = await startEmbeddedPostgres({
  baseDirectory: null,
  name: name === '-' ? null : name,
  port: 0,
  clock: systemClock,
  random: systemRandom,
  logger: createSystemLogger('error'),
});
process.on('SIGINT', () => console.log('interrupted'));
process.on('SIGTERM', () => {
  void server.stop().then(() => process.exit(0));
});
console.log(JSON.stringify({ connectionString: server.connectionString, directory: server.directory }));
setInterval(() => undefined, 60_000);
