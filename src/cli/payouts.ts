/** The executing side of withdrawals: one automation per treasury party, on connections of its own. */
import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import { measuredSigner } from '../custody/measured-signer.ts';
import type { Database } from '../db/connection.ts';
import { OUTBOX_CHANNEL } from '../db/event-log.ts';
import type { LogMemory } from '../db/log-history.ts';
import type { Notifications } from '../db/notifications.ts';
import { createWakeUp } from '../db/polling-loop.ts';
import { runAcceptance } from '../deposits/acceptance/acceptance.ts';
import type { OfferRules } from '../deposits/acceptance/offer-rules.ts';
import { isCleared } from '../deposits/screening-gate.ts';
import type { TokenSources } from '../directory/token-sources.ts';
import type { Clock, Micros } from '../env/clock.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import { type Measures, noMeasures } from '../env/measures.ts';
import type { Random } from '../env/random.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import type { Channel } from '../ledger/channel.ts';
import { submitterOver } from '../ledger/submission-client.ts';
import { runHealthReport } from '../scan/health-report.ts';
import type { SampleWithdrawal } from '../server/graphiql.ts';
import type { WitnessLedger } from '../submissions/input-witness.ts';
import { createSubmissionBudget, DEFAULT_BUDGET } from '../submissions/submission-budget.ts';
import { DEFAULT_LIMITS, runAutomation } from '../withdrawals/automation.ts';
import { runReopening } from '../withdrawals/reopening.ts';
import { createWithdrawals, type Withdrawals } from '../withdrawals/withdrawal-requests.ts';
import { openRegistries, type RegistriesConfig } from './open-registries.ts';
import { openSigner, type SignerConfig } from './open-signer.ts';
import { originSealOf, type RecoveryConfig } from './recovery.ts';
import type { ServiceLoops } from './service-loops.ts';

type PayoutEnv = {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  readonly measures?: Measures;
};

type PayoutConfig = Pick<
  Config,
  | 'ledgerUser'
  | 'withdrawalKey'
  | 'withdrawalTtlSeconds'
  | 'restoreMarginSeconds'
  | 'withdrawalAttempts'
  | 'submissionsPerSecond'
  | 'trafficReserveBytes'
  | 'network'
  | 'offerTries'
  | 'offerBackoffSeconds'
  | 'offerTriesPerHour'
  | 'offerTriesPerInstrumentHour'
  | 'offerTriesPerSenderHour'
> &
  RegistriesConfig &
  SignerConfig;

/** What the API offers; null where this installation is not configured to pay out. */
export function openWithdrawals(
  config: PayoutConfig & RecoveryConfig & Pick<Config, 'customerBooks'>,
  db: Database,
  { clock, log }: { readonly clock: Clock; readonly log: LogMemory },
): Withdrawals | null {
  if (config.withdrawalKey === null) return null;
  const seal = originSealOf(config);
  return createWithdrawals({
    db,
    clock,
    log,
    ...(seal !== null && { seal }),
    books: config.customerBooks,
    network: config.network,
    idKey: Buffer.from(config.withdrawalKey.reveal(), 'hex'),
  });
}

/** One that is paid out here, for the samples of GraphiQL. */
export function sampleInstrumentOf({
  instruments,
  registries,
}: Pick<Config, 'instruments' | 'registries'>): Partial<SampleWithdrawal> {
  const sample = instruments.find(({ admin }) => registries.some((registry) => registry.admin === admin));
  return sample === undefined ? {} : { instrumentAdmin: sample.admin, instrumentId: sample.id };
}

/**
 * Opens what the automations need. Call it before the workers' own teardown is added, so that they stop before their connections close.
 * @returns what starts them; it does nothing where there is no key to sign with.
 */
export function preparePayouts(parts: {
  readonly config: PayoutConfig;
  readonly env: PayoutEnv;
  readonly lane: (name: string, poolSizeMax: number) => Database;
  /** Of a participant that hosts the treasury parties; any will do. */
  readonly call: Channel['call'];
  /** A ledger for one worker, which asks it which participant answers. */
  readonly openLedger: () => WitnessLedger;
  readonly notifications: Notifications;
  /** Where registries are read, and whose code moves a token. */
  readonly tokens: Pick<TokenSources, 'sourceOf' | 'implementationOf'>;
  /** What this process has seen of the database. */
  readonly log: LogMemory;
  /** As `isCleared` has it. */
  readonly screenedSince: Micros | null;
}): (treasuries: readonly Treasury[], working: ServiceLoops) => void {
  const { config, env, lane, call, openLedger, notifications, tokens, log, screenedSince } = parts;
  const opened = config.withdrawalKey === null ? null : openSigner(config, env);
  if (opened === null) return () => undefined;
  const signer = measuredSigner(opened, { clock: env.clock, measures: env.measures ?? noMeasures });
  const db = lane('withdrawals', CONNECTIONS);
  const registry = openRegistries(config, env, tokens.sourceOf);
  const common = {
    ...env,
    db,
    log,
    submitter: submitterOver(call),
    registry,
    signer,
    implementationOf: tokens.implementationOf,
    userId: config.ledgerUser,
    limits: {
      ...DEFAULT_LIMITS,
      recordTimeAheadMsMax: config.restoreMarginSeconds * 1_000,
      ttlMs: config.withdrawalTtlSeconds * 1_000,
      attemptsMax: config.withdrawalAttempts,
    },
  };
  const budgetLimits = {
    ...DEFAULT_BUDGET,
    submissionsPerSecond: config.submissionsPerSecond,
    trafficReserve: config.trafficReserveBytes,
  };
  const offers = lane('offers', CONNECTIONS);
  const rules = offerRulesOf(config, screenedSince);
  const asker = `${hostname()}:${process.pid}:${env.random.uuid()}`;
  return (treasuries, working) => {
    working.run('registry health', async (signal) => {
      await runHealthReport({ ...env, db, process: asker, health: registry.health, signal });
    });
    working.run('reopening after a restore', async (signal) => await runReopening({ ...env, db, signal }));
    for (const treasury of treasuries) {
      const budget = createSubmissionBudget({ ...env, db, treasuryId: treasury.id, limits: budgetLimits });
      working.run(`withdrawals of ${treasury.name}`, async (signal) => {
        const wakeUp = createWakeUp(env.clock);
        const unlisten = notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
        await runAutomation({ ...common, budget, ledger: openLedger(), treasury, wakeUp, signal }).finally(unlisten);
      });
      working.run(`offers to ${treasury.name}`, async (signal) => {
        const wakeUp = createWakeUp(env.clock);
        const unlisten = notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
        await runAcceptance({ ...common, budget, db: offers, rules, treasury, wakeUp, signal }).finally(unlisten);
      });
    }
  };
}

const OFFER_BACKOFF_MS_MAX = 3_600_000; // Beyond that a person has been told, or the offer has ended.
const OFFER_TRIES_PER_ATTEMPT = 3; // Then the attempt waits for its end: what has been executed is usually seen within a second.

function offerRulesOf(config: PayoutConfig, screenedSince: Micros | null): OfferRules {
  const perSender = config.offerTriesPerSenderHour;
  return {
    limits: {
      ...DEFAULT_LIMITS,
      recordTimeAheadMsMax: config.restoreMarginSeconds * 1_000,
      triesMax: OFFER_TRIES_PER_ATTEMPT,
      ttlMs: config.withdrawalTtlSeconds * 1_000,
      attemptsMax: config.offerTries,
    },
    triesMax: config.offerTries,
    backoffMsMin: config.offerBackoffSeconds * 1_000,
    backoffMsMax: OFFER_BACKOFF_MS_MAX,
    budget: {
      all: config.offerTriesPerHour,
      perInstrument: config.offerTriesPerInstrumentHour,
      perAccount: perSender,
      perSender,
    },
    isCleared: (offer) => isCleared(offer, screenedSince),
  };
}

const CONNECTIONS = 4; // Tries spend their time waiting for the participant, not for the database.
