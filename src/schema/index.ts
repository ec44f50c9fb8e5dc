/** The schema: every type's file is imported for what it adds to the builder. */
import './account.ts';
import './account-funds.ts';
import './account-journal.ts';
import './audit-entry.ts';
import './balance.ts';
import './customer-books.ts';
import './deposit-account.ts';
import './deposit-account-changes.ts';
import './deposit-event.ts';
import './desk.ts';
import './desk-mutations.ts';
import './event-log.ts';
import './explanation.ts';
import './freeze.ts';
import './freshness.ts';
import './halt.ts';
import './holding.ts';
import './ingestion-stream.ts';
import './instrument.ts';
import './log-event.ts';
import './offer.ts';
import './offer-mutations.ts';
import './post-transfer.ts';
import './post-transfer-request.ts';
import './preapproval.ts';
import './preflight.ts';
import './quarantined-update.ts';
import './registry.ts';
import './token.ts';
import './token-mutations.ts';
import './screening.ts';
import './transfer.ts';
import './treasury-party.ts';
import './verification.ts';
import './viewer.ts';
import './withdrawal.ts';
import './withdrawal-policy.ts';
import './approval-mutations.ts';
import './participant-traffic.ts';
import './past-balance.ts';
import './proof-of-transfer.ts';
import './service-config.ts';
import './stuck-withdrawal.ts';
import './treasury-funds.ts';
import './policy.ts';
import './withdrawal-control.ts';
import './withdrawal-offer.ts';
import './withdrawal-request.ts';
import './withdrawal-update.ts';
import { type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { withAtLeast } from './at-least.ts';
import { auditMutations } from './audited-mutations.ts';
import { builder } from './builder.ts';
import { wallCustomers } from './customer-wall.ts';
import { assertEveryFieldDemandsScope } from './default-deny.ts';
import { addPayloadCursors } from './payload-cursor.ts';

builder.queryType({ description: 'Everything that can be asked. Each field names the scope it needs. Since 0.1.' });
builder.mutationType({
  description: 'Everything that can be changed. Each field names the scope it needs. Since 0.1.',
});
builder.subscriptionType({
  description: 'Everything that can be followed. Each field names the scopes it needs. Since 0.1.',
});

addPayloadCursors();

/** @throws AssertionError when a field could be read without a scope: access is denied unless allowed. */
export function createSchema(): GraphQLSchema {
  const schema = withAtLeast(builder.toSchema({ sortSchema: true }));
  assertEveryFieldDemandsScope(schema);
  auditMutations(schema);
  wallCustomers(schema);
  return schema;
}

/** The schema as text, as `schema.graphql` in git and `/schema.graphql` of the server show it. */
export function printSchemaSdl(): string {
  return `${printSchema(lexicographicSortSchema(createSchema()))}\n`;
}
