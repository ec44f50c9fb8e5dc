/** Everything of ours that pays withdrawals, as `serve` runs it: ingestion with its sinks, the automation with its signer and registry client, woken by the database. */
import type { KeyObject } from 'node:crypto';
import { createTreasurySink } from '../src/books/treasury-sink.ts';
import { createLocalSigner } from '../src/custody/local-signer.ts';
import { createDatabase, type Database } from '../src/db/connection.ts';
import { OUTBOX_CHANNEL } from '../src/db/event-log.ts';
import { createLeases } from '../src/db/lease.ts';
import { createNotifications } from '../src/db/notifications.ts';
import { createWakeUp } from '../src/db/polling-loop.ts';
import { createDepositSink } from '../src/deposits/deposit-sink.ts';
import { type FailpointName, noFailpoints } from '../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../src/env/system.ts';
import { registerCatalog } from '../src/ingestion/catalog.ts';
import { runStreamWorker } from '../src/ingestion/stream-worker.ts';
import { createLedgerClient } from '../src/ledger/ledger-client.ts';
import { createSubmitter } from '../src/ledger/submission-client.ts';
import { createRegistries, type Registries, sourcesOf } from '../src/scan/registries.ts';
import { parseAmount } from '../src/tokens/amount.ts';
import { DEFAULT_LIMITS, runAutomation } from '../src/withdrawals/automation.ts';
import { createSelfTransferSink } from '../src/withdrawals/pool/self-transfer-sink.ts';
import { createWithdrawals } from '../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../src/withdrawals/withdrawal-sink.ts';
import type { PaymentNetwork } from './withdrawals-network.ts';

export type PaymentKey = { readonly privateKey: KeyObject; readonly fingerprint: string };

export type PaymentService = {
  readonly db: Database;
  /** Asks for a payment of 5. */
  ask(idempotencyKey: string): Promise<void>;
  stop(): Promise<void>;
};

const NETWORK = 'bench';
const CALLS_PER_SECOND = 10_000; // What is measured is not how much we leave others alone.

export function openPaymentRegistries({ instrument, registryUrl }: PaymentNetwork): Registries {
  return createRegistries({
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger('error'),
    sourceOf: sourcesOf([
      { admin: instrument.admin, instrumentId: null, source: { strategy: 'rotate', urls: [registryUrl] } },
    ]),
    scan: null,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: CALLS_PER_SECOND,
  });
}

/** @param onPassed told of every failpoint of the automation. */
export async function startPaymentService(
  connectionString: string,
  network: PaymentNetwork,
  key: PaymentKey,
  onPassed: (name: FailpointName) => void,
): Promise<PaymentService> {
  const logger = createSystemLogger('error');
  const env = { clock: systemClock, random: systemRandom, logger };
  const open = (name: string, poolSizeMax: number, keepsStatements: boolean | 'FOR_FEW' = true) =>
    createDatabase({ connectionString, applicationName: `bench-${name}`, poolSizeMax, keepsStatements, logger });
  const ingesting = open('ingestion', 2, 'FOR_FEW');
  const paying = open('withdrawals', PAYING_CONNECTIONS);
  const asking = open('api', 8);
  const [treasury] = await registerCatalog(ingesting.db, {
    network: NETWORK,
    treasuries: [{ name: 'treasury', party: network.treasury }],
    instruments: [{ name: network.instrumentName, ...network.instrument }],
  });
  if (treasury === undefined) throw new Error('The catalog is incomplete.');
  const notifications = createNotifications({ ...env, connectionString, applicationName: 'bench-notifications' });
  const ledger = createLedgerClient({ url: network.url });
  const submitter = createSubmitter({ url: network.url });
  const ending = new AbortController();
  const { signal } = ending;
  const stream = runStreamWorker({
    ...env,
    db: ingesting.db,
    leases: createLeases({ db: ingesting.db, clock: systemClock }),
    ledger,
    treasury,
    sinks: [
      createDepositSink({ clock: systemClock }),
      createTreasurySink(),
      createWithdrawalSink({ clock: systemClock, logger }),
      createSelfTransferSink({ clock: systemClock }),
    ],
    holder: systemRandom.uuid(),
    failpoint: noFailpoints,
    signal,
  });
  const wakeUp = createWakeUp(systemClock);
  const unlisten = notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
  const automation = runAutomation({
    ...env,
    db: paying.db,
    treasury,
    ledger,
    submitter,
    registry: openPaymentRegistries(network),
    implementationOf: () => 'SPLICE_AMULET',
    signer: createLocalSigner({ privateKey: key.privateKey }),
    userId: 'bench',
    limits: { ...DEFAULT_LIMITS, ttlMs: 120_000, attemptsMax: 3 },
    failpoint: async (name) => onPassed(name),
    wakeUp,
    signal,
  });
  const withdrawals = createWithdrawals({
    db: asking.db,
    clock: systemClock,
    network: NETWORK,
    idKey: new Uint8Array(32).fill(9),
  });
  return {
    db: asking.db,
    ask: async (idempotencyKey) => {
      await withdrawals.create({
        client: 'bench',
        idempotencyKey,
        account: 'alice',
        treasuryParty: network.treasury,
        instrument: network.instrument,
        receiver: network.receiver,
        amount: parseAmount('5'),
        memo: null,
      });
    },
    stop: async () => {
      ending.abort();
      unlisten();
      await Promise.allSettled([stream, automation]);
      await notifications.close();
      ledger.close();
      submitter.close();
      for (const { close } of [ingesting, paying, asking]) await close();
    },
  };
}

const PAYING_CONNECTIONS = 4; // As `serve` has it.
