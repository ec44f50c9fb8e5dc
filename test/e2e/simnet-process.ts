/** The simulated network as a process of its own, and Sluices that are pointed at it by pasting the lines it prints. */
import { expect } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { type SluiceProcess, startSluice } from './sluice-process.ts';

export type SimnetProcess = {
  readonly process: SluiceProcess;
  readonly customers: readonly PrintedCustomer[];
  /** The variables printed under that heading, e.g. `participant1` or `withdrawals`. */
  variablesOf(heading: string): Readonly<Record<string, string>>;
  /** Posts to the control endpoint; @returns its answer. */
  control(path: string, body: unknown): Promise<Readonly<Record<string, unknown>>>;
};

export type PrintedCustomer = { readonly name: string; readonly memo: string; readonly party: string };

/** @param args beside the ports, which are any free ones. */
export async function startSimnetProcess(...args: readonly string[]): Promise<SimnetProcess> {
  const simnet = startSluice(['simnet', '--ports', '0,0,0', ...args]);
  await simnet.waitFor(/# withdrawals.*\n(export .*\n){3}/);
  const [, controlUrl = ''] = /Control endpoint: (\S+)/.exec(simnet.stdout()) ?? [];
  const customers = [...simnet.stdout().matchAll(/^ {2}(customer-\d+) {2}(\S+) {2}(\S+::\S+)$/gm)];
  return {
    process: simnet,
    customers: customers.map(([, name = '', memo = '', party = '']) => ({ name, memo, party })),
    variablesOf: (heading) => {
      const [, lines = ''] = new RegExp(`^# ${heading}.*\n((?:export .*\n)+)`, 'm').exec(simnet.stdout()) ?? [];
      return Object.fromEntries([...lines.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]));
    },
    control: async (path, body) => {
      const response = await fetch(`${controlUrl}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      expect(response.status).toBe(200);
      return (await response.json()) as Record<string, unknown>;
    },
  };
}

export type ServingSluice = {
  readonly process: SluiceProcess;
  readonly url: string;
  readonly database: TestDatabase;
};

/** `serve --migrate` on any free port, with these variables. */
export async function startServing(
  database: TestDatabase,
  variables: Readonly<Record<string, string>>,
): Promise<ServingSluice> {
  const running = startSluice(['serve', '--migrate'], {
    ...variables,
    DATABASE_URL: database.connectionString,
    SLUICE_PORT: '0',
    SLUICE_LOG_LEVEL: 'warn',
  });
  const [, url = ''] = await running.waitFor(/^Sluice serves (http:\S+)\/graphql$/m);
  return { process: running, url, database };
}

/** @returns the data of an answer without errors. */
export async function ask<Data>(
  { url }: Pick<ServingSluice, 'url'>,
  query: string,
  variables: Readonly<Record<string, unknown>> = {},
): Promise<Data> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  const body = (await response.json()) as { data: Data; errors?: unknown };
  expect(body.errors).toBe(undefined);
  return body.data;
}
