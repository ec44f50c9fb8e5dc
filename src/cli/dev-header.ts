/** What `dev` says once everything runs: what there is, where to click, what to try. */
import { assert } from '../env/errors.ts';
import { GRAPHIQL_PATH } from '../server/graphiql.ts';
import { GRAPHQL_PATH } from '../server/graphql-handler.ts';
import type { Simnet } from '../simnet/simnet.ts';
import type { OpenedDatabase } from './open-database.ts';
import type { Service } from './service.ts';
import { SIMNET_NAME } from './simnet-environment.ts';
import type { Terminal } from './terminal.ts';

export function headerLines(parts: {
  readonly service: Service;
  readonly simnet: Simnet;
  readonly database: OpenedDatabase;
  readonly styled: Terminal['styled'];
}): readonly string[] {
  const { service, simnet, database, styled } = parts;
  const { url, adminUrl } = service;
  const row = (label: string, text: string): string => `  ${styled('dim', label.padEnd(12))} ${text}`;
  return [
    '',
    styled('bold', 'Sluice is running. Ctrl-C stops everything.'),
    '',
    row('GraphiQL', `${styled('bold', `${url}${GRAPHIQL_PATH}`)}   ← open this; press ▶ in each tab`),
    row('API', `${url}${GRAPHQL_PATH}   (WebSocket and SSE too)`),
    row('schema', `${url}/schema.graphql`),
    row('health', `${adminUrl}/readyz   ${adminUrl}/metrics   (whether all is well; what Prometheus reads)`),
    ...simnet.participants.map(({ name, grpcAddress }) => row(name, `${grpcAddress}   (gRPC Ledger API, simulated)`)),
    // Its password is made for this machine's loopback and this run.
    row('PostgreSQL', database.isEmbedded ? database.connectionString : 'that of DATABASE_URL'),
    row('control', `${simnet.controlUrl}   (of the simulated network; the README has more)`),
    row('customers', `${simnet.customers.length}, each with an account; some forget their memo, or get it wrong`),
    '',
    row(
      'try',
      `curl -H content-type:application/json -d '{"query":"{ transfers { nodes { amount memo } } }"}' ${url}${GRAPHQL_PATH}`,
    ),
    row('fail', `${faultsLine(simnet, '{"dropExecutes":{"share":1}}')}   ← what we submit is lost from now on`),
    row('heal', `${faultsLine(simnet, '{}')}   ← and now it is not`),
    ...(database.isEmbedded
      ? [
          row('check', `DATABASE_URL='${database.connectionString}' npm run -s sluice -- verify`),
          row(
            'sluice',
            `export DATABASE_URL='${database.connectionString}' SLUICE_NETWORK='${SIMNET_NAME}'   ← then e.g. npm run -s sluice -- status`,
          ),
        ]
      : []),
  ];
}

/** What a shell runs to set the faults of the participant that this Sluice submits to. */
function faultsLine({ controlUrl, participants: [participant] }: Simnet, faults: string): string {
  assert(participant !== undefined, 'The simulated network has a participant.');
  return `curl -H content-type:application/json -d '${faults}' ${controlUrl}/participants/${participant.name}/submission-faults`;
}
