/** docs/guides/withdrawals.md holds what is true: every document in it is valid and runs against a whole Sluice, its diagram is the state machine, and every state, wait and code is told. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { getOperationAST, isEnumType, parse, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSchema } from '../../src/schema/index.ts';
import {
  nextState,
  RESOLUTIONS,
  WITHDRAWAL_STATES,
  type WithdrawalEvent,
} from '../../src/withdrawals/withdrawal-state.ts';
import { post } from '../support/api.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { startWithdrawalScene, type WithdrawalScene } from '../support/withdrawal-scene.ts';

const guide = readFileSync(resolve(import.meta.dirname, '../../docs/guides/withdrawals.md'), 'utf8');
const schema = createSchema();
const documents = [...guide.matchAll(/```graphql\n(.*?)```/gs)].map(([, document = '']) => document);

describe('docs/guides/withdrawals.md', () => {
  test('has documents', () => expect(documents.length).toBeGreaterThan(8));

  test.each(documents)('this document is valid: %s', (document) => {
    expect(validate(schema, parse(document)).map(({ message }) => message)).toEqual([]);
  });

  test('draws the state machine, no more and no less', () => {
    const events: readonly WithdrawalEvent[] = [
      ...(
        [
          'POLICY_ALLOWED',
          'POLICY_NEEDS_APPROVAL',
          'POLICY_DENIED',
          'APPROVED',
          'APPROVAL_REFUSED',
          'APPROVAL_EXPIRED',
          'CANCEL_REQUESTED',
          'DEADLINE_PASSED',
          'ATTEMPT_OPENED',
          'TRANSFER_SEEN',
          'OFFER_SEEN',
          'OFFER_ACCEPTED',
          'OFFER_RETURNED',
          'OFFER_END_UNREADABLE',
          'INPUTS_VANISHED',
        ] as const
      ).map((kind) => ({ kind })),
      ...RESOLUTIONS.map((as) => ({ kind: 'RESOLVED_BY_OPERATOR', as }) as const),
      ...(['RETRY', 'GIVE_UP'] as const).flatMap((next) =>
        [false, true].map((isCancelRequested) => ({ kind: 'ATTEMPT_DEAD', next, isCancelRequested }) as const),
      ),
    ];
    const moves = new Set<string>();
    for (const state of WITHDRAWAL_STATES) {
      for (const event of events) {
        const transition = nextState(state, event);
        if (transition.kind === 'MOVED') moves.add(`${state} --> ${transition.state}`);
      }
    }
    const [, diagram = ''] = /```mermaid\n(.*?)```/s.exec(guide) ?? [];
    const drawn = [...diagram.matchAll(/([A-Z_]+) --> ([A-Z_]+):/g)].map(([, from, to]) => `${from} --> ${to}`);

    expect(drawn.toSorted()).toEqual([...moves].toSorted());
  });

  test('tells of every state, every wait and every refusal', () => {
    const wait = schema.getType('WithdrawalWait');
    const waits = isEnumType(wait) ? wait.getValues().map(({ name }) => name) : [];
    const refusals = [...(schema.getType('WithdrawalInputError')?.description ?? '').matchAll(/`([A-Z_]+)`/g)].map(
      ([, code = '']) => code,
    );
    expect(waits.length).toBeGreaterThan(5);
    expect(refusals.length).toBeGreaterThan(5);
    for (const word of [...WITHDRAWAL_STATES, ...waits, ...refusals]) expect(guide, word).toContain(`\`${word}\``);
  });

  test('names only calls and settings that there are', () => {
    const fields = new Set([
      ...Object.keys(schema.getQueryType()?.getFields() ?? {}),
      ...Object.keys(schema.getMutationType()?.getFields() ?? {}),
      ...Object.keys(schema.getSubscriptionType()?.getFields() ?? {}),
    ]);
    const named = [
      ...guide.matchAll(/`((?:[a-z]+)(?:Withdrawals?|Resolution|Money|Halt|Approvals|Preflight|Updated))`/g),
    ];
    expect(named.length).toBeGreaterThan(10);
    for (const [, name = ''] of named) expect(fields, name).toContain(name);
    const settings = readFileSync(resolve(import.meta.dirname, '../../docs/configuration.md'), 'utf8');
    for (const [, name = ''] of guide.matchAll(/`(SLUICE_[A-Z_]+)`/g)) expect(settings, name).toContain(name);
  });
});

describe('its documents, one after the other, against a whole Sluice', () => {
  let scene: WithdrawalScene;

  beforeAll(async () => {
    scene = await startWithdrawalScene();
    scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  });

  afterAll(async () => {
    await scene.close();
  });

  test('run without an error', { timeout: 60_000 }, async () => {
    const { admin } = scene.simnet.network.instrument('amulet');
    let withdrawalId = 'wd_none';
    for (const document of documents) {
      const query = document
        .replaceAll('DSO::1220…', admin)
        .replaceAll('carol-wallet::1220…', scene.simnet.network.party('bob'))
        .replaceAll('wd_…', withdrawalId)
        .replaceAll('1:…', `1:${'0'.repeat(64)}`);
      if (getOperationAST(parse(query))?.operation === 'subscription') {
        // Every change from the beginning, so that a first one is there.
        const { stream } = await subscribeSse(scene.url, {
          query: query.replace(
            'withdrawals(filter: { isFinal: true,',
            `withdrawals(after: "${(await scene.ask('{ eventLog { startCursor } }')).eventLog.startCursor}", filter: {`,
          ),
        });
        const first = await stream.next();
        expect(first?.data, query).toContain('"state"');
        expect(first?.data, query).not.toContain('"errors"');
        stream.cut();
        continue;
      }
      const { data, errors } = await post(scene.url, { query });
      expect(errors, query).toBeUndefined();
      withdrawalId = data.createWithdrawal?.withdrawal?.withdrawalId ?? withdrawalId;
      if (data.createWithdrawal !== undefined) expect(data.createWithdrawal.withdrawal).toBeDefined();
      if (data.withdrawalPreflight !== undefined) expect(data.withdrawalPreflight.checks.length).toBeGreaterThan(8);
      if (data.haltMoney !== undefined) expect(data.haltMoney.halt).toBeDefined();
    }
    expect(withdrawalId).toMatch(/^wd_/);
  });
});
