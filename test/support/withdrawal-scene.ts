/** A whole Sluice on a simulated network: every loop in one process, gRPC to a participant, HTTP to registries, Scan and the API, and the network's own ledger to say what was paid. */
import { expect } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { type Service, startService } from '../../src/cli/service.ts';
import { environmentFor, payoutEnvironmentFor } from '../../src/cli/simnet-environment.ts';
import { loadConfig } from '../../src/config/config.ts';
import { type Clock, millisToMicros } from '../../src/env/clock.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { instructionOf } from '../../src/simnet/network-commands.ts';
import type { SimnetOptions } from '../../src/simnet/simnet.ts';
import { post } from './api.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { eventually } from './eventually.ts';
import { startTestNetwork, type TestNetwork } from './network.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into by tests, which fail where they are not what they seem.
type Looked = any;

export type WithdrawalScene = {
  readonly database: TestDatabase;
  readonly simnet: TestNetwork;
  readonly service: Service;
  /** The base URL of the API. */
  readonly url: string;
  /** Asks over HTTP, as the developer unless said otherwise. @returns the data; the test fails on errors. */
  ask(query: string, variables?: Record<string, unknown>, principal?: string): Promise<Looked>;
  /** Holdings for the treasury, which ingestion has seen when it resolves. */
  fund(instrument: string, amounts: readonly string[]): Promise<void>;
  /** Asks for a withdrawal and @returns the payload or the refusal. */
  create(wanted: Wanted): Promise<Looked>;
  /** The withdrawal by its key, as soon as it is in `state`. */
  become(key: string, state: string, deadlineMs?: number): Promise<Looked>;
  withdrawal(key: string): Promise<Looked>;
  preflight(wanted: Omit<Wanted, 'key'>): Promise<Looked>;
  /** What the token directory does with an instrument from now on, by the mutations an operator uses. */
  decide(
    instrument: string,
    policy: Record<string, unknown>,
    implementation?: 'SPLICE_AMULET' | 'UTILITY_REGISTRY' | 'OTHER',
  ): Promise<void>;
  /** The clock of everybody, the network included, jumps ahead. */
  pass(durationMs: number): void;
  /** Contract ids of the offers of the treasury that nobody has ended. */
  offers(): readonly string[];
  /** What a party holds of an instrument, by the network's ledger. */
  balance(instrument: string, owner: string): string;
  /** Nothing is reserved any more, and the books are right. */
  settled(): Promise<void>;
  /** A further Sluice on the same database and network. */
  another(variables?: Record<string, string>): Promise<Service>;
  close(): Promise<void>;
};

export type Wanted = {
  readonly key: string;
  readonly instrument: string;
  /** Hint of a party of the network, or a whole party id. */
  readonly receiver: string;
  readonly amount: string;
  readonly account?: string;
  readonly memo?: string;
};

export const WITHDRAWAL_FIELDS = `withdrawalId state isFinal amount receiver updateId waitsFor
  failure { code detail } definiteFailureProof { attempt } transfer { transferId kind status }
  attempts { number state tries inputs lastError }`;

const CREATE = `mutation ($input: CreateWithdrawalInput!) {
  createWithdrawal(input: $input) {
    ... on CreateWithdrawalPayload { replayed withdrawal { ${WITHDRAWAL_FIELDS} } }
    ... on Error { code message fix retryable }
  }
}`;

const PREFLIGHT = `query ($input: WithdrawalPreflightInput!) {
  withdrawalPreflight(input: $input) {
    outlook transferKind fee recordTime target preapproval { expiresAt outlastsTarget }
    funds { state reach free total queued }
    checks { kind outcome code detail source certainty asOf }
  }
}`;

/** @param variables of the configuration, beside those that the network prints. */
export async function startWithdrawalScene(
  variables: Readonly<Record<string, string>> = {},
  network: Partial<SimnetOptions> = {},
): Promise<WithdrawalScene> {
  const database = await createTestDatabase();
  let aheadMicros = 0n;
  const clock: Clock = { ...systemClock, nowMicros: () => systemClock.nowMicros() + aheadMicros };
  const simnet = await startTestNetwork('withdrawals', { clock, ...network });
  const [participant] = simnet.participants;
  if (participant === undefined) throw new Error('The network has no participant.');
  const common = {
    DATABASE_URL: database.connectionString,
    SLUICE_PORT: '0',
    ...environmentFor(simnet, participant),
    ...(await payoutEnvironmentFor(simnet, systemRandom)),
    // A short time to certainty, and a second attempt for a machine that is busy.
    SLUICE_WITHDRAWAL_TTL_SECONDS: '5',
    SLUICE_WITHDRAWAL_ATTEMPTS: '2',
    ...variables,
  };
  const services: Service[] = [];
  const another = async (more: Readonly<Record<string, string>> = {}): Promise<Service> => {
    const { databaseUrl: _url, ...config } = loadConfig({ ...common, ...more });
    const logger = createSystemLogger('silent');
    const env = { clock, random: systemRandom, logger, failpoint: noFailpoints };
    const started = await startService({ config, connectionString: database.connectionString, env });
    services.push(started);
    return started;
  };
  const service = await another();
  const url = service.url ?? '';

  const ask = async (query: string, input: Record<string, unknown> = {}, principal?: string): Promise<Looked> => {
    const headers: Record<string, string> = principal === undefined ? {} : { authorization: `Bearer dev-${principal}` };
    const { data, errors } = await post(url, { query, variables: input }, headers);
    expect(errors).toBeUndefined();
    return data;
  };
  const inputOf = ({ instrument, receiver, amount, account = 'alice', memo }: Omit<Wanted, 'key'>) => {
    const { admin, id } = simnet.network.instrument(instrument);
    return {
      account,
      instrumentAdmin: admin,
      instrumentId: id,
      receiver: receiver.includes('::') ? receiver : simnet.network.party(receiver),
      amount,
      ...(memo !== undefined && { memo }),
    };
  };
  const withdrawal = async (key: string): Promise<Looked> =>
    (await ask(`query ($key: String!) { withdrawal(idempotencyKey: $key) { ${WITHDRAWAL_FIELDS} } }`, { key }))
      .withdrawal;

  const versionOf = async (instrument: string): Promise<number> => {
    const { tokens } = await ask('{ tokens(first: 50) { nodes { version instrument { id } } } }');
    return tokens.nodes.find((each: { instrument: { id: string } }) => each.instrument.id === instrument).version;
  };

  return {
    database,
    simnet,
    service,
    url,
    ask,
    another,
    withdrawal,
    fund: async (instrument, amounts) => {
      for (const amount of amounts) simnet.network.tap({ instrument, owner: 'treasury', amount });
      const end = simnet.network.participant(participant.name).ledgerEnd();
      await eventually(
        async () => {
          const stream = await database.db.selectFrom('ingestion_stream').select('ledger_offset').executeTakeFirst();
          expect(stream?.ledger_offset).toBeGreaterThanOrEqual(end);
        },
        { deadlineMs: 30_000 },
      );
    },
    create: async ({ key, ...wanted }) =>
      (await ask(CREATE, { input: { idempotencyKey: key, ...inputOf(wanted) } })).createWithdrawal,
    become: async (key, state, deadlineMs = 40_000) =>
      await eventually(
        async () => {
          const found = await withdrawal(key);
          expect([found?.state, found?.failure]).toEqual([state, found?.failure]);
          return found;
        },
        { deadlineMs, intervalMs: 100 },
      ),
    preflight: async (wanted) => (await ask(PREFLIGHT, { input: inputOf(wanted) })).withdrawalPreflight,
    decide: async (instrument, policy, implementation) => {
      const { admin, id } = simnet.network.instrument(instrument);
      const { tokens } = await ask(
        '{ tokens(first: 50) { nodes { version implementation instrument { id admin instrumentId } } } }',
      );
      const token = tokens.nodes.find(
        (each: { instrument: { admin: string; instrumentId: string } }) =>
          each.instrument.admin === admin && each.instrument.instrumentId === id,
      );
      const why = 'Test.';
      if (implementation !== undefined && token.implementation !== implementation) {
        const input = { instrument: token.instrument.id, why };
        const change = async (name: string, more: Record<string, unknown> = {}): Promise<void> => {
          const type = name === 'setTokenImplementation' ? 'SetTokenImplementationInput' : 'TokenInput';
          const query = `mutation ($input: ${type}!) { ${name}(input: $input) { ... on Error { code message } } }`;
          expect((await ask(query, { input: { ...input, ...more } }))[name]).toEqual({});
        };
        await change('freezeToken');
        await change('setTokenImplementation', { implementation });
        // Its registry is looked at first, which a process that has just started may not have done yet.
        await eventually(async () => await change('enableToken'), { deadlineMs: 20_000, intervalMs: 500 });
      }
      const { setTokenPolicy } = await ask(
        'mutation ($input: SetTokenPolicyInput!) { setTokenPolicy(input: $input) { ... on Error { code message } } }',
        { input: { instrument: token.instrument.id, version: await versionOf(token.instrument.id), policy, why } },
      );
      expect(setTokenPolicy).toEqual({});
    },
    pass: (durationMs) => {
      aheadMicros += millisToMicros(durationMs);
    },
    offers: () => {
      const treasury = simnet.network.party('treasury');
      return [...simnet.network.ledger.contracts.activeOf(treasury)]
        .filter((contract) => instructionOf(contract)?.sender === treasury)
        .map(({ contractId }) => contractId);
    },
    balance: (instrument, owner) => simnet.network.balance({ instrument, owner }),
    settled: async () => {
      await eventually(
        async () => {
          const open = database.db.selectFrom('reservation').select('contract_id').where('is_open', '=', true);
          expect(await open.execute()).toEqual([]);
        },
        { deadlineMs: 30_000 },
      );
      expect(await checkBooks(database.db)).toEqual([]);
    },
    close: async () => {
      for (const each of services.toReversed()) await each.stop();
      await simnet.stop();
      await database.close();
    },
  };
}
