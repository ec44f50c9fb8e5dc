/** `sluice doctor`: looks at everything a process needs, from the configuration to the signer, and says what is wrong, what that means and what to do. Changes nothing, anywhere. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { createFetchKeys } from '../auth/fetch-keys.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { createDatabase, type Database } from '../db/connection.ts';
import { createRegistryAccess } from '../directory/registry-access.ts';
import { packagesOf } from '../directory/token-policy.ts';
import { checkDatabase } from '../doctor/database-checks.ts';
import { type Finding, looked, worstOf } from '../doctor/finding.ts';
import { checkLedger } from '../doctor/ledger-checks.ts';
import { checkMachine } from '../doctor/machine-checks.ts';
import { checkIssuers, checkRegistries, checkScan, checkSigner } from '../doctor/outside-checks.ts';
import { checkPolicy, checkScreening } from '../doctor/policy-checks.ts';
import { checkRights } from '../doctor/rights-checks.ts';
import type { Logger } from '../env/logger.ts';
import { createFailoverLedger } from '../ledger/failover-ledger.ts';
import { readTokensOfNetwork, type Token } from '../read/tokens.ts';
import { createSend } from '../scan/http-send.ts';
import { keysOfParties } from '../signer/remote-signer.ts';
import type { CommandContext } from './command-context.ts';
import { isScreeningWanted } from './deposit-services.ts';
import { openDatabase } from './open-database.ts';
import { openRegistries } from './open-registries.ts';
import { openSigner } from './open-signer.ts';
import { untilStopped } from './shutdown.ts';
import { createTeardown } from './teardown.ts';
import { needsOf } from './treasury-rights.ts';
import { withParticipant } from './with-participant.ts';

const SECRET_LENGTH_MIN = 6; // What is shorter is a word of any sentence.

const MARKS = { OK: 'ok  ', WARN: 'WARN', FAIL: 'FAIL' } as const;

export function doctorCommand(context: CommandContext): Command {
  return new Command('doctor')
    .description(
      'look at database, participant, clocks, registries, signer and disk, and say what to do; exit code 1 where something has to be done',
    )
    .option('--json', 'one JSON object instead of lines')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const config = loadConfig(context.environment);
      // What goes wrong is told as a finding; log lines would tell it twice.
      const logger = context.createLogger('silent');
      await untilStopped({ ...context, logger }, async () => {
        const findings = (await examine(config, { ...context, logger })).map((finding) =>
          withoutSecrets(finding, config),
        );
        const outcome = worstOf(findings);
        if (json === true) context.terminal.print(JSON.stringify({ outcome, findings }));
        else print(context, findings);
        if (outcome === 'FAIL') context.end('no');
      });
    });
}

type Env = Pick<CommandContext, 'clock' | 'random'> & { readonly logger: Logger };

async function examine(config: Config, env: Env): Promise<readonly Finding[]> {
  const teardown = createTeardown(env.logger);
  try {
    const opened = await openDatabase(config, { ...env, teardown, isThrowAway: false, isGuest: true });
    const connection = createDatabase({
      connectionString: opened.connectionString,
      applicationName: 'sluice-doctor',
      poolSizeMax: 2,
      logger: env.logger,
    });
    teardown.add('database connections', connection.close);
    const ofDatabase = await checkDatabase(connection.db, env);
    const isReadable = worstOf(ofDatabase.filter(({ check }) => /^database\.(reachable|schema)$/.test(check))) === 'OK';
    const db = isReadable ? connection.db : null;
    const dataDir = opened.isEmbedded ? resolve(config.dataDir ?? '.') : null;
    const tokens = db === null ? [] : await readTokensOfNetwork(db, config.network);
    return [
      ...ofDatabase,
      // An embedded server is ours alone.
      ...(db === null || opened.isEmbedded ? [] : await checkRights(db, config.role)),
      // Whoever only answers requests screens nothing.
      ...(db === null || config.role === 'api'
        ? []
        : await checkPolicy(db, {
            network: config.network,
            isScreening: config.screeningUrl !== null,
            clock: env.clock,
          })),
      ...(db === null
        ? []
        : await checkScreening(db, {
            network: config.network,
            worker:
              config.role === 'api'
                ? null
                : { isWanted: isScreeningWanted(config), isAsking: config.screeningUrl !== null },
          })),
      ...(await examineLedger(config, env, { db, tokens })),
      ...(await examineOthers(config, env, tokens)),
      ...(await checkMachine({
        anchorFile: config.anchorFile === null ? null : resolve(config.anchorFile),
        dataDir,
      })),
    ];
  } finally {
    await teardown.run();
  }
}

async function examineLedger(
  config: Config,
  env: Env,
  { db, tokens }: { readonly db: Database | null; readonly tokens: readonly Token[] },
): Promise<readonly Finding[]> {
  const packages = tokens.flatMap((token) => token.packages);
  return await looked(
    'ledger.reachable',
    'Look at SLUICE_LEDGER_URL and its token.',
    async () =>
      await withParticipant(
        config,
        env,
        async (pool) =>
          await checkLedger({
            ledger: createFailoverLedger(pool),
            call: pool.roaming.call,
            clock: env.clock,
            network: config.network,
            treasuries: config.treasuryParties,
            needs: needsOf(config),
            packages: [...new Set(packages.length > 0 ? packages : packagesOf('SPLICE_AMULET'))],
            marginSeconds: config.restoreMarginSeconds,
            db,
          }),
      ),
  );
}

async function examineOthers(config: Config, env: Env, tokens: readonly Token[]): Promise<readonly Finding[]> {
  const registryAccess = createRegistryAccess((sourceOf) => openRegistries(config, env, sourceOf));
  const { scan } = openRegistries(config, env);
  const registries = await checkRegistries(registryAccess, tokens);
  const ofScan = await checkScan(scan, config.instruments);
  const ofSigner = await looked('signer', 'Look at SLUICE_SIGNER_URL and its certificates.', async () => {
    const signer = config.withdrawalKey === null ? null : openSigner(config, env);
    try {
      return await checkSigner(signer, {
        treasuries: config.treasuryParties,
        keysOf: config.signer === null ? null : keysOfParties(config.signerKeys),
      });
    } finally {
      if (signer !== null && 'close' in signer && typeof signer.close === 'function') signer.close();
    }
  });
  const send = createSend({ isPrivateAllowed: config.oidcPrivate === 'allow' });
  const issuers = config.oidcIssuers.map(({ url }) => ({
    url,
    fetchKeys: createFetchKeys({ issuer: url, keysUrl: config.oidcKeysUrl, send }),
  }));
  return [...registries, ...ofScan, ...ofSigner, ...(await checkIssuers(issuers))];
}

/** Texts of others may repeat what we sent them; no secret of the configuration leaves with them. */
function withoutSecrets(finding: Finding, config: Config): Finding {
  let { found, todo, subject } = finding;
  for (const secret of secretsOf(config)) {
    found = found.replaceAll(secret, '[secret]');
    todo = todo?.replaceAll(secret, '[secret]') ?? null;
    subject = subject?.replaceAll(secret, '[secret]') ?? null;
  }
  return { ...finding, found, todo, subject };
}

function secretsOf(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('reveal' in value && typeof value.reveal === 'function') {
    const text = String(value.reveal());
    const password = URL.parse(text)?.password ?? '';
    return [text, password, decoded(password)].filter((each) => each.length >= SECRET_LENGTH_MIN);
  }
  return Object.values(value).flatMap(secretsOf);
}

/** As the driver has it; a password with a lone `%` stands as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function print({ terminal }: CommandContext, findings: readonly Finding[]): void {
  for (const { check, subject, outcome, found, todo } of findings) {
    terminal.print(`${MARKS[outcome]} ${check.padEnd(24)} ${subject === null ? '' : `${subject}: `}${found}`);
    if (todo !== null) terminal.print(`     ${' '.repeat(24)} → ${todo}`);
  }
  const count = (outcome: Finding['outcome']): number => findings.filter((each) => each.outcome === outcome).length;
  terminal.print(`${count('OK')} are well, ${count('WARN')} worth a look, ${count('FAIL')} have to be done`);
}
