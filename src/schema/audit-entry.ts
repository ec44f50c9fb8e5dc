/** `AuditEntry`, its query, and the chain that binds the entries. */
import {
  type AuditChainState,
  type AuditEntry,
  type AuditVerdict,
  keyOfAuditEntry,
  listAuditEntries,
  readAuditChain,
  verifyAuditChain,
} from '../read/audit-entries.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { NO_ROWS } from '../read/page.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';

/** Those who look after others' doings, and those whose doings they are. */
const AUDITORS = { $any: { audit: true, operate: true } } as const;
const NEEDS = 'Scope: `audit` or `operate`. Since 0.1.';

const AuditEntryRef = builder.objectRef<AuditEntry>('AuditEntry').implement({
  description: `One change that a person, a service or Sluice decided, written with the change itself: no path of the code goes round it. ${NEEDS}`,
  authScopes: AUDITORS,
  fields: (t) => ({
    position: t.expose('position', {
      type: 'BigInt',
      description: `Its place in the chain, from 1, without gaps. ${NEEDS}`,
    }),
    at: t.expose('at', { type: 'RecordTime', description: `When, by the database’s clock. ${NEEDS}` }),
    principal: t.exposeString('principal', {
      description: `Who; \`sluice\`, or the name of a part of it, where it acted by itself. ${NEEDS}`,
    }),
    action: t.exposeString('action', {
      description: `The mutation, e.g. \`haltMoney\`; \`<table>.<operation>\` for the command line and for Sluice itself. ${NEEDS}`,
    }),
    subjectType: t.exposeString('subjectType', {
      description: `What kind of thing was changed: its table, e.g. \`withdrawal\`. ${NEEDS}`,
    }),
    subject: t.exposeString('subject', { description: `Which one, e.g. \`wd_…\`. ${NEEDS}` }),
    inputHash: t.string({
      nullable: true,
      description: `SHA-256, in hex, of the mutation’s arguments as JSON with sorted keys; null: no mutation did it. ${NEEDS}`,
      resolve: ({ inputHash }) => inputHash?.toString('hex') ?? null,
    }),
    before: t.field({
      type: 'JSON',
      nullable: true,
      description: `What changed, as it was: columns by name, every value as text; null: it is new. ${NEEDS}`,
      resolve: ({ before }) => before,
    }),
    after: t.field({
      type: 'JSON',
      nullable: true,
      description: `What changed, as it became; all of it where it is new. ${NEEDS}`,
      resolve: ({ after }) => after,
    }),
    hash: t.string({
      description: `In hex: SHA-256 of the bytes of the hash before (32 zero bytes for the first) and of \`hashedText\`. ${NEEDS}`,
      resolve: ({ hash }) => hash.toString('hex'),
    }),
    hashedText: t.exposeString('hashedText', {
      description: `What is hashed: position, at, principal, action, inputHash, subjectType, subject, before and after, each with its length in bytes. ${NEEDS}`,
    }),
  }),
});

const AuditVerdictRef = builder.objectRef<AuditVerdict>('AuditVerdict').implement({
  description: `Whether the chain is whole. ${NEEDS}`,
  authScopes: AUDITORS,
  fields: (t) => ({
    checkedCount: t.expose('checkedCount', {
      type: 'BigInt',
      description: `Entries from the beginning whose hashes are right. ${NEEDS}`,
    }),
    brokenAt: t.expose('brokenAt', {
      type: 'BigInt',
      nullable: true,
      description: `The first place that was changed, removed or put in; null: the chain is whole. ${NEEDS}`,
    }),
  }),
});

const AuditChainRef = builder.objectRef<AuditChainState>('AuditChain').implement({
  description: `Where the chain of audit entries ends. ${NEEDS}`,
  authScopes: AUDITORS,
  fields: (t) => ({
    entriesCount: t.expose('entriesCount', {
      type: 'BigInt',
      description: `Entries in it: the position of the newest. ${NEEDS}`,
    }),
    head: t.string({
      description: `Hash of the newest entry, in hex. Write it down elsewhere: as long as that entry has it, nothing up to it was changed. ${NEEDS}`,
      resolve: ({ head }) => head.toString('hex'),
    }),
    waitingCount: t.expose('waitingCount', {
      type: 'BigInt',
      description: `Entries that are written and chained in a moment. ${NEEDS}`,
    }),
    verdict: t.field({
      type: AuditVerdictRef,
      description: `All hashes computed anew, now: reads every entry, some 100,000 a second. ${NEEDS}`,
      resolve: async (_chain, _args, { db }) => await verifyAuditChain(db),
    }),
  }),
});

const AuditFilterInput = builder.inputType('AuditFilter', {
  description: 'Which entries to list: all that is given holds together. Since 0.1.',
  fields: (t) => ({
    principal: t.string({ description: 'Only what this principal did, by its whole name.' }),
    action: t.string({ description: 'Only by this mutation, or `<table>.<operation>`.' }),
    subject: t.string({ description: 'Only about this, e.g. the id of a withdrawal.' }),
    from: t.field({ type: 'RecordTime', description: 'Only at this time, by the database’s clock, or later.' }),
    before: t.field({ type: 'RecordTime', description: 'Only before this time, by the database’s clock.' }),
  }),
});

builder.queryFields((t) => ({
  auditEntries: t.connection(
    {
      type: AuditEntryRef,
      description: `Who did what, oldest first, in the order of the chain: with the last cursor as \`after\`, what came since. An entry shows within a second or two of what it tells. ${NEEDS}`,
      authScopes: AUDITORS,
      args: { filter: t.arg({ type: AuditFilterInput, description: 'All, unless told otherwise.' }) },
      resolve: async (_root, { filter, ...page }, { db }) => {
        const wanted = {
          principal: filter?.principal ?? null,
          action: filter?.action ?? null,
          subject: filter?.subject ?? null,
          from: filter?.from ?? null,
          before: filter?.before ?? null,
        };
        const isAskable = [wanted.principal, wanted.action, wanted.subject].every((text) => isStorableText(text ?? ''));
        return await connectionOf(
          { name: 'auditEntries', key: 'i' },
          page,
          async (request) => (isAskable ? await listAuditEntries(db, wanted, request) : NO_ROWS),
          keyOfAuditEntry,
        );
      },
    },
    { name: 'AuditEntryConnection' },
    { name: 'AuditEntryEdge' },
  ),
  auditChain: t.field({
    type: AuditChainRef,
    description: `Where the chain of audit entries ends, and whether it is whole. ${NEEDS}`,
    authScopes: AUDITORS,
    resolve: async (_root, _args, { db }) => await readAuditChain(db),
  }),
}));
