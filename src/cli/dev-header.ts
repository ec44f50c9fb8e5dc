/** What `dev` says once everything runs: what there is, where to click, what to try. */
import { GRAPHIQL_PATH } from '../server/graphiql.ts';
import { GRAPHQL_PATH } from '../server/graphql-handler.ts';
import type { Simnet } from '../simnet/simnet.ts';
import type { OpenedDatabase } from './open-database.ts';
import type { Service } from './service.ts';
import type { Terminal } from './terminal.ts';

export function headerLines(parts: {
  readonly service: Service;
  readonly simnet: Simnet;
  readonly database: OpenedDatabase;
  readonly styled: Terminal['styled'];
}): readonly string[] {
  const { service, simnet, database, styled } = parts;
  const { url } = service;
  const row = (label: string, text: string): string => `  ${styled('dim', label.padEnd(12))} ${text}`;
  return [
    '',
    styled('bold', 'Sluice is running. Ctrl-C stops everything.'),
    '',
    row('GraphiQL', `${styled('bold', `${url}${GRAPHIQL_PATH}`)}   ← open this; press ▶ in each tab`),
    row('API', `${url}${GRAPHQL_PATH}   (WebSocket and SSE too)`),
    row('schema', `${url}/schema.graphql`),
    row('health', `${url}/healthz   ${url}/readyz`),
    ...simnet.participants.map(({ name, grpcAddress }) => row(name, `${grpcAddress}   (gRPC Ledger API, simulated)`)),
    // Its password is made for this machine's loopback and this run.
    row('PostgreSQL', database.isEmbedded ? database.connectionString : 'that of DATABASE_URL'),
    row('customers', `${simnet.customers.length}, each with an account; some forget their memo, or get it wrong`),
    '',
    row(
      'try',
      `curl -H content-type:application/json -d '{"query":"{ transfers { nodes { amount memo } } }"}' ${url}${GRAPHQL_PATH}`,
    ),
    ...(database.isEmbedded
      ? [row('check', `DATABASE_URL='${database.connectionString}' npm run -s sluice -- verify`)]
      : []),
  ];
}
