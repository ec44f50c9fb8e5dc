/**
 * Completions and the deduplication of commands are hints: with each of them on, off and lying the same withdrawals come to the same ends, and the ledger moves the same money. Whatever the participant says
 * of a submission, only what ingestion sees counts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { systemClock } from '../../src/env/system.ts';
import type { SubmissionFaultSettings } from '../../src/simnet/submission/submission-faults.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 15_000, // Several networks at a time: nobody should run out of it for being slow.
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 20,
  triesMax: 20,
  tryHoldMs: 1_000,
};

type Hints = {
  readonly name: string;
  /** Undefined: a participant that deduplicates nothing. */
  readonly deduplicationMs: number | undefined;
  readonly faults: SubmissionFaultSettings;
};

const DEDUPLICATION = 30_000;
const on = (name: string, faults: SubmissionFaultSettings = {}): Hints => ({
  name,
  deduplicationMs: DEDUPLICATION,
  faults,
});

const COMPLETIONS: readonly Hints[] = [
  on('on'),
  on('off', { lieInCompletions: { share: 1, lie: 'missing' } }),
  on('inverted', { lieInCompletions: { share: 1, lie: 'inverted' } }),
  on('for other commands', { lieInCompletions: { share: 1, lie: 'otherCommand' } }),
];
const DEDUPLICATIONS: readonly Hints[] = [
  { name: 'off', deduplicationMs: undefined, faults: { duplicateExecutes: { share: 0.5 } } },
  on('on, with doubled submissions', { duplicateExecutes: { share: 0.5 } }),
  on('that forgets', { lieInDeduplication: { share: 0.7, lie: 'forgotten' }, duplicateExecutes: { share: 0.5 } }),
  on('that calls new commands duplicates, and drops them', {
    lieInDeduplication: { share: 0.5, lie: 'DUPLICATE_COMMAND' },
  }),
  on('that calls new commands duplicates, and takes them', {
    lieInDeduplication: { share: 0.5, lie: 'DUPLICATE_COMMAND', isTaken: true },
  }),
  on('that calls new commands in flight, and drops them', {
    lieInDeduplication: { share: 0.5, lie: 'SUBMISSION_ALREADY_IN_FLIGHT' },
  }),
  on('that calls new commands in flight, and takes them', {
    lieInDeduplication: { share: 0.5, lie: 'SUBMISSION_ALREADY_IN_FLIGHT', isTaken: true },
  }),
];

/** Four that can be paid, one that nobody may be paid directly. */
async function outcomesWith({ deduplicationMs, faults }: Hints): Promise<Readonly<Record<string, string>>> {
  const database = await createTestDatabase();
  const simnet = await startTestNetwork('hints', { deduplicationMs });
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  for (let index = 0; index < 4; index += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '10' });
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  simnet.network.participant('participant1').faults.submissions.set(faults);
  const payouts = startPayouts({
    db: database.db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry: registryOf(simnet),
    logger: database.logger,
    limits: LIMITS,
  });
  try {
    const service = createWithdrawals({
      db: database.db,
      clock: systemClock,
      network: NETWORK,
      idKey: new Uint8Array(32),
    });
    for (const [index, receiver] of ['bob', 'bob', 'bob', 'bob', 'dave'].entries()) {
      await service.create({
        client: 'exchange',
        idempotencyKey: `key-${index}`,
        account: 'alice',
        treasuryParty: simnet.network.party('treasury'),
        instrument: simnet.network.instrument('amulet'),
        receiver: simnet.network.party(receiver),
        amount: parseAmount(`${index + 1}`),
        memo: null,
      });
    }
    const ends = async () => {
      const rows = await database.db
        .selectFrom('withdrawal')
        .select(['idempotency_key', 'state', 'failure_code'])
        .orderBy('idempotency_key')
        .execute();
      return rows.map((row) => [row.idempotency_key, `${row.state} ${row.failure_code ?? ''}`.trim()] as const);
    };
    await eventually(
      async () => {
        payouts.throwIfFailed();
        for (const [, end] of await ends()) expect(end).toMatch(/^(COMPLETED|FAILED)/);
      },
      { deadlineMs: 110_000, intervalMs: 200 },
    );
    expect(await checkBooks(database.db)).toEqual([]);
    const { rows } = await sql<{ open: number }>`
      SELECT count(*)::int AS open FROM reservation WHERE is_open`.execute(database.db);
    return {
      ...Object.fromEntries(await ends()),
      bob: simnet.network.balance({ instrument: 'amulet', owner: 'bob' }),
      dave: simnet.network.balance({ instrument: 'amulet', owner: 'dave' }),
      reserved: String(rows[0]?.open),
    };
  } finally {
    await payouts.stop();
    await ingestion.stop();
    await simnet.stop();
    await database.close();
  }
}

const EXPECTED = {
  'key-0': 'COMPLETED',
  'key-1': 'COMPLETED',
  'key-2': 'COMPLETED',
  'key-3': 'COMPLETED',
  'key-4': 'FAILED RECEIVER_NOT_PREAPPROVED',
  bob: '10.0000000000',
  dave: '0.0000000000',
  reserved: '0',
};

describe.concurrent('E4: completions', () => {
  test.each(COMPLETIONS)('$name: the same ends', { timeout: 150_000 }, async (hints) => {
    expect(await outcomesWith(hints)).toEqual(EXPECTED);
  });

  test('are listened to by nothing of ours', () => {
    const root = resolve(import.meta.dirname, '../../src');
    const listeners = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !/^(gen|simnet)\//.test(file))
      .filter((file) =>
        /completion_service|completionStream|executeSubmissionAndWait/.test(readFileSync(resolve(root, file), 'utf8')),
      );
    expect(listeners).toEqual([]);
  });
});

describe.concurrent('E24: the deduplication of commands', () => {
  test.each(DEDUPLICATIONS)('$name: the same ends', { timeout: 150_000 }, async (hints) => {
    expect(await outcomesWith(hints)).toEqual(EXPECTED);
  });
});
