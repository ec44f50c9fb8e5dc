/** `Halt`: the kill switch, its query and its two mutations. */

import type { Database } from '../db/connection.ts';
import { assert } from '../env/errors.ts';
import { type Halt, keyOfHalt, listHalts, readHalt } from '../read/halts.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { HALT_REFUSAL_CODES, HaltRefusal } from '../submissions/halt-refusal.ts';
import { haltMoney, liftHalt } from '../submissions/halts.ts';
import { builder } from './builder.ts';
import { connectionOf } from './connection.ts';
import { ErrorInterface } from './error-interface.ts';
import { InstrumentRef } from './instrument.ts';
import { TreasuryPartyRef, treasuryOfId } from './treasury-party-ref.ts';

builder.objectType(HaltRefusal, {
  name: 'HaltRefusal',
  description: `Nothing was changed. Codes ${HALT_REFUSAL_CODES.map((code) => `\`${code}\``).join(', ')}. Scope: \`operate\`. Since 0.1.`,
  authScopes: { operate: true },
  interfaces: [ErrorInterface],
});

const HaltRef = builder.objectRef<Halt>('Halt').implement({
  description:
    'A kill switch: while it stands, nothing of what it covers is signed, and nothing that was signed is sent, in any process. What comes in is credited all the same. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    haltId: t.exposeString('id', { description: '`ht_…`. Scope: `read`. Since 0.1.' }),
    treasury: t.field({
      type: TreasuryPartyRef,
      nullable: true,
      description: 'Whose money; null: every treasury party’s. Scope: `read`. Since 0.1.',
      resolve: ({ treasury }) => treasury,
    }),
    instrument: t.field({
      type: InstrumentRef,
      nullable: true,
      description: 'Which instrument; null: every one. Scope: `read`. Since 0.1.',
      resolve: ({ instrument }) => instrument,
    }),
    why: t.exposeString('why', { description: 'In the words of who halted. Scope: `read`. Since 0.1.' }),
    haltedAt: t.expose('haltedAt', {
      type: 'RecordTime',
      description: 'Since when it stands, by our clock. Scope: `read`. Since 0.1.',
    }),
    haltedBy: t.exposeString('haltedBy', { description: 'A principal. Scope: `read`. Since 0.1.' }),
    liftAskedAt: t.expose('liftAskedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When somebody asked for it to be lifted, by our clock; null: nobody has. Scope: `read`. Since 0.1.',
    }),
    liftAskedBy: t.exposeString('liftAskedBy', {
      nullable: true,
      description: 'Who asked; somebody else has to agree. Scope: `read`. Since 0.1.',
    }),
    liftWhy: t.exposeString('liftWhy', {
      nullable: true,
      description: 'Why it may be lifted, in the words of those who asked and agreed. Scope: `read`. Since 0.1.',
    }),
    liftedAt: t.expose('liftedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'When it was lifted, by our clock; null: it stands. Scope: `read`. Since 0.1.',
    }),
    liftedBy: t.exposeString('liftedBy', {
      nullable: true,
      description: 'Who agreed; null: it stands. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryField('halts', (t) =>
  t.connection(
    {
      type: HaltRef,
      description: 'Kill switches, newest first. Scope: `read`. Since 0.1.',
      authScopes: { read: true },
      args: { isOpen: t.arg.boolean({ description: 'Only those that stand, or were lifted.' }) },
      resolve: async (_root, { isOpen, ...page }, { db }) =>
        await connectionOf(
          { name: 'halts', key: 'it' },
          page,
          async (request) => await listHalts(db, { isOpen: isOpen ?? null }, request),
          keyOfHalt,
        ),
    },
    { name: 'HaltConnection' },
    { name: 'HaltEdge' },
  ),
);

type HaltPayload = { readonly halt: Halt; readonly isReplayed: boolean };

const HaltPayloadRef = builder.objectRef<HaltPayload>('HaltPayload').implement({
  description: 'It is committed, and holds in every process. Scope: `operate`. Since 0.1.',
  authScopes: { operate: true },
  fields: (t) => ({
    halt: t.field({
      type: HaltRef,
      description: 'As it stands now. Scopes: `operate` and `read`. Since 0.1.',
      resolve: ({ halt }) => halt,
    }),
    replayed: t.exposeBoolean('isReplayed', {
      description:
        'True: it stood already; a wish to lift it, if there was one, is taken back. Scope: `operate`. Since 0.1.',
    }),
  }),
});

const HaltMoneyInput = builder.inputType('HaltMoneyInput', {
  description: 'What is to be halted. With neither treasury nor instrument: everything. Since 0.1.',
  fields: (t) => ({
    treasury: t.id({ description: 'Only this `TreasuryParty`, by its global id.' }),
    instrumentAdmin: t.string({
      description: 'Only this instrument: party id of its admin. Not without `instrumentId`.',
    }),
    instrumentId: t.string({
      description: 'Only this instrument: the id the admin gave it. Not without `instrumentAdmin`.',
    }),
    why: t.string({ required: true, description: 'For those who come after; 1 to 1000 bytes, kept for ever.' }),
  }),
});

const LiftHaltInput = builder.inputType('LiftHaltInput', {
  description: 'Which halt is to be lifted. Since 0.1.',
  fields: (t) => ({
    haltId: t.string({ required: true, description: '`ht_…`.' }),
    why: t.string({ required: true, description: 'What was found; 1 to 1000 bytes, kept for ever.' }),
  }),
});

const BOTH = { $all: { operate: true, read: true } } as const;
const union = (name: string) => ({
  types: [HaltRefusal],
  union: { name, description: 'The halt, or why nothing was changed. Scope: `operate`. Since 0.1.' },
});

builder.mutationFields((t) => ({
  haltMoney: t.field({
    type: HaltPayloadRef,
    description:
      'Stops signing at once, in every process: what it answers is committed. Survives restarts and the restore of a database. Harmless when repeated. Scopes: `operate` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: HaltMoneyInput, required: true, description: 'What, and why.' }) },
    errors: union('HaltMoneyResult'),
    resolve: async (_root, { input }, { db, clock, principal }) => {
      const { haltId, isReplayed } = await haltMoney(
        db,
        { treasury: treasuryOfId(input.treasury), instrument: instrumentOf(input) },
        { by: principal.name, why: input.why, nowMicros: clock.nowMicros() },
      );
      return { halt: await readExisting(db, haltId), isReplayed };
    },
  }),
  liftHalt: t.field({
    type: HaltPayloadRef,
    description:
      'Asks for a halt to be lifted; where somebody else has asked already, lifts it. So two people lift it, each by this call. Scopes: `operate` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: LiftHaltInput, required: true, description: 'Which, and why.' }) },
    errors: union('LiftHaltResult'),
    resolve: async (_root, { input: { haltId, why } }, { db, clock, principal }) => {
      if (!isStorableText(haltId)) throw new HaltRefusal('HALT_UNKNOWN');
      await liftHalt(db, haltId, { by: principal.name, why, nowMicros: clock.nowMicros() });
      return { halt: await readExisting(db, haltId), isReplayed: false };
    },
  }),
}));

/** Half an instrument is none: it is not taken for every instrument, nor for no halt. @throws HaltRefusal. */
function instrumentOf({
  instrumentAdmin,
  instrumentId,
}: {
  readonly instrumentAdmin?: string | null | undefined;
  readonly instrumentId?: string | null | undefined;
}) {
  if (instrumentAdmin == null && instrumentId == null) return null;
  if (instrumentAdmin == null || instrumentId == null) throw new HaltRefusal('INSTRUMENT_UNKNOWN');
  if (!isStorableText(instrumentAdmin) || !isStorableText(instrumentId)) throw new HaltRefusal('INSTRUMENT_UNKNOWN');
  return { admin: instrumentAdmin, id: instrumentId };
}

async function readExisting(db: Database, id: string): Promise<Halt> {
  const halt = await readHalt(db, id);
  assert(halt !== null, 'A halt that was just written is not there.', { id });
  return halt;
}
