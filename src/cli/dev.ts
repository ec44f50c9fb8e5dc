/**
 * `sluice dev`, what `npm start` runs: the main job on real parts. Embedded PostgreSQL, a simulated Canton network whose customers keep
 * depositing, and the same service that `serve` runs, pointed at both by the same configuration.
 *
 * The simulated network keeps its history in memory, so a database that outlived it would rightly refuse the next one. Hence the embedded
 * database is as fresh as the network; a database given by DATABASE_URL keeps everything, each run as a network of its own.
 */
import { Command } from 'commander';
import { type Config, loadConfig } from '../config/config.ts';
import { migrate } from '../db/migrate.ts';
import type { Micros } from '../env/clock.ts';
import { assert, RetryableError } from '../env/errors.ts';
import { noFailpoints } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { readTokens } from '../read/tokens.ts';
import type { SampleWithdrawal } from '../server/graphiql.ts';
import { TREASURY } from '../simnet/network.ts';
import { type Simnet, startSimnet } from '../simnet/simnet.ts';
import type { CommandContext } from './command-context.ts';
import { headerLines } from './dev-header.ts';
import { type ProgressWatch, watchProgress } from './dev-progress.ts';
import { renderBlock, renderLine } from './dev-screen.ts';
import { runWithdrawers } from './dev-withdrawers.ts';
import { findFreePort } from './free-port.ts';
import { type OpenedDatabase, openDatabase } from './open-database.ts';
import { type Service, startService } from './service.ts';
import { aborted, type Shutdown, untilStopped } from './shutdown.ts';
import { environmentFor, payoutEnvironmentFor, SIMNET_NAME } from './simnet-environment.ts';
import { preapproveAllButOne, WITHDRAWN_INSTRUMENT } from './simnet-receivers.ts';
import { createTerminalLogger } from './terminal.ts';
import { openTokenDirectory } from './token-directory.ts';

const LOOPBACK = '127.0.0.1';
const CONTROL_PORT = 6867; // The one that the command simnet has it on, so that the same lines work with both.
const CUSTOMERS = { count: 5, intervalMs: 800, isTreasuryAccepting: true }; // Somebody deposits about every second: there is always something to see.
const FIRST_DEPOSIT = '100';
const REDRAW_MS = 1_000;
const LINE_MS = 5_000; // Without a terminal: a log that is read later.

export function devCommand(context: CommandContext): Command {
  return new Command('dev')
    .description('everything on this machine: embedded PostgreSQL, a simulated network, the server (npm start)')
    .action(async () => {
      // Fewer log lines than a server writes, unless they are asked for: the terminal shows what happens.
      const environment = { SLUICE_LOG_LEVEL: 'warn', ...context.environment };
      const given = loadConfig(environment, ['databaseUrl', 'dataDir', 'host', 'port', 'apiKeys', 'logLevel']);
      const logger = createTerminalLogger(context.terminal, given.logLevel);
      await untilStopped({ ...context, logger }, async (shutdown) => {
        await run({ ...context, environment }, given, logger, shutdown);
      });
      context.terminal.release();
      context.terminal.print('Stopped: no process and no port is left.');
    });
}

type Given = Pick<Config, 'databaseUrl' | 'dataDir' | 'host' | 'port' | 'apiKeys' | 'logLevel'>;

async function run(context: CommandContext, given: Given, logger: Logger, shutdown: Shutdown): Promise<void> {
  const { terminal, clock, random } = context;
  const { requested, teardown } = shutdown;
  const env = { clock, random, logger, failpoint: noFailpoints };
  const isEmbedded = given.databaseUrl === null;
  terminal.print(`Starting ${isEmbedded ? 'PostgreSQL and ' : ''}a simulated Canton network …`);

  const database = await openDatabase(given, { ...env, teardown, isThrowAway: true });
  if (requested.aborted) return;
  await migrate({ connectionString: database.connectionString, logger });
  const seed = random.uuid().slice(0, 8);
  // As with the other port: 0 takes any.
  const controlPort = given.port === 0 ? 0 : await findFreePort(LOOPBACK, CONTROL_PORT);
  const simnet = await startSimnet({ seed, clock, random, logger, customers: CUSTOMERS, controlPort });
  teardown.add('simulated network', simnet.stop);
  if (requested.aborted) return;

  const config = await configOf(context, given, { simnet, seed, database });
  const sampleWithdrawal = sampleFor(simnet, clock.nowMicros());
  const service = await startService({ config, connectionString: database.connectionString, env, sampleWithdrawal });
  teardown.add('service', service.stop, service.stopping);
  const { position: after } = service.tail.head();
  await openAccounts(service, simnet, config.network);
  const watch = watchProgress({ ...env, db: service.db, tail: service.tail, network: config.network, after });
  preapproveAllButOne(simnet);
  await payOffers(service, simnet, config, env);
  makeFirstDeposit(simnet);
  simnet.startCustomers();
  for (const line of headerLines({ service, simnet, database, styled: terminal.styled })) terminal.print(line);

  const failure = await Promise.race([
    aborted(requested),
    service.failed,
    database.exited.then(() => new RetryableError('EMBEDDED_ENDED', 'The embedded PostgreSQL has ended.')),
    watch.follow(),
    show(watch, context, requested),
    runWithdrawers({ ...env, service, simnet, signal: requested }),
  ]);
  if (failure !== undefined) throw failure;
}

/** Whoever has no preapproval is made an offer here, so that one is to be seen. */
async function payOffers(
  { db }: Service,
  { network }: Simnet,
  config: Config,
  env: Pick<CommandContext, 'clock' | 'random'> & { readonly logger: Logger },
): Promise<void> {
  const { admin, id: instrumentId } = network.instrument(WITHDRAWN_INSTRUMENT);
  const key = { network: config.network, admin, instrumentId };
  const [token] = await readTokens(db, [key]);
  if (token == null || token.paysOffers) return;
  const decision = { by: 'dev', why: 'Customers without a preapproval are made an offer.' };
  await openTokenDirectory(config, db, env).setPolicy(key, token.version, { paysOffers: true }, decision);
}

/** The configuration that `serve` would have, made from the same variables. */
async function configOf(
  { environment, terminal, random }: CommandContext,
  given: Given,
  { simnet, seed, database }: { readonly simnet: Simnet; readonly seed: string; readonly database: OpenedDatabase },
): Promise<Config> {
  const [participant] = simnet.participants;
  assert(participant !== undefined, 'The simulated network has a participant.');
  const pointing = { ...environmentFor(simnet, participant), ...(await payoutEnvironmentFor(simnet, random)) };
  const ignored = Object.keys(pointing).filter((variable) => (environment[variable] ?? '') !== '');
  if (ignored.length > 0) {
    terminal.print(`Not used here, where the network is simulated: ${ignored.join(', ')}. See the command serve.`);
  }
  const port = await findFreePort(given.host, given.port);
  if (port !== given.port) terminal.print(`Port ${given.port} is taken by another program: using ${port} instead.`);
  return loadConfig({
    // Half a minute to certainty: somebody is watching.
    SLUICE_WITHDRAWAL_TTL_SECONDS: '15',
    SLUICE_WITHDRAWAL_ATTEMPTS: '2',
    // A handful of customers who deposit all the time, where nothing costs anything.
    SLUICE_OFFER_TRIES_PER_HOUR: '100000',
    SLUICE_OFFER_TRIES_PER_INSTRUMENT_HOUR: '100000',
    SLUICE_OFFER_TRIES_PER_SENDER_HOUR: '100000',
    ...environment,
    ...pointing,
    SLUICE_INSTRUMENTS: withoutNewcomer(pointing.SLUICE_INSTRUMENTS),
    // A database that outlives the network must not take the next one for its continuation.
    ...(database.isEmbedded ? {} : { SLUICE_NETWORK: `${SIMNET_NAME}-${seed}` }),
    SLUICE_PORT: String(port),
    SLUICE_ROLE: 'all',
  });
}

/** In use on the network and not in the token directory, so that there is a token to take on; until then deposits of it belong to nobody. */
const NEWCOMER = 'note';

function withoutNewcomer(instruments: string): string {
  return instruments
    .split(',')
    .filter((entry) => !entry.startsWith(`${NEWCOMER}=`))
    .join(',');
}

const SAMPLE_PAST_SECONDS = 10n; // After the start: somebody has deposited by then, and it is over before anybody has found the tab.

/** What GraphiQL can ask for as it stands. */
function sampleFor({ network, customers }: Simnet, now: Micros): SampleWithdrawal {
  const [customer] = customers;
  assert(customer !== undefined, 'There is a customer.');
  const { admin, id } = network.instrument(WITHDRAWN_INSTRUMENT);
  return {
    idempotencyKey: 'my-first-withdrawal',
    account: customer.name,
    instrumentAdmin: admin,
    instrumentId: id,
    receiver: customer.party,
    amount: '1.5',
    asOf: formatRecordTime((now / 1_000_000n + SAMPLE_PAST_SECONDS) * 1_000_000n),
  };
}

/** So that the sample withdrawal is paid at once, and not when somebody happens to have deposited enough. */
function makeFirstDeposit({ network, customers: [customer] }: Simnet): void {
  assert(customer !== undefined, 'There is a customer.');
  const { party, memo } = customer;
  network.tap({ instrument: WITHDRAWN_INSTRUMENT, owner: party, amount: FIRST_DEPOSIT });
  network.transfer({
    instrument: WITHDRAWN_INSTRUMENT,
    sender: party,
    receiver: TREASURY,
    amount: FIRST_DEPOSIT,
    memo,
  });
}

/** As the mutation createDepositAccount does it. Some deposits come with a memo that nobody has, or none: those stay without an owner. */
async function openAccounts({ depositAccounts }: Service, { customers }: Simnet, network: string): Promise<void> {
  for (const { name: account, memo } of customers) {
    await depositAccounts.create({ network, account, memo, createdBy: 'dev' });
  }
}

/** Shows what ingestion does until `requested` aborts. A database that is away for a moment is the log's affair. */
async function show(watch: ProgressWatch, { terminal, clock }: CommandContext, requested: AbortSignal): Promise<void> {
  while (!requested.aborted) {
    const progress = await watch.read();
    if (terminal.isInteractive) terminal.redraw(renderBlock(progress, terminal.styled));
    else terminal.print(renderLine(progress));
    await clock.sleep(terminal.isInteractive ? REDRAW_MS : LINE_MS, requested);
  }
}
