/** What makes subscriptions the same: too much told apart costs time, too little shows one customer another's money. */
import { parse } from 'graphql';
import { describe, expect, test } from 'vitest';
import { createSchema } from '../schema/index.ts';
import { type Principal, principalOf } from '../schema/principal.ts';
import { asksFactsAlone, subscriptionKey } from './subscription-key.ts';

const QUERY =
  'subscription ($after: Cursor, $filter: DepositFilter) { deposits(after: $after, filter: $filter) { cursor } }';
const someone = principalOf('exchange', ['read', 'subscribe']);

function keyOf(
  { query = QUERY, variables = {}, operationName = null as string | null },
  principal: Principal = someone,
): string {
  return subscriptionKey({ document: parse(query), query, operationName, variables }, principal);
}

describe('the same', () => {
  test('are those that differ in where they start, or in the order of what they name', () => {
    expect(keyOf({ variables: { after: 'a' } })).toBe(keyOf({ variables: { after: 'b' } }));
    expect(keyOf({ variables: { filter: { account: 'a', kinds: [] } } })).toBe(
      keyOf({ variables: { filter: { kinds: [], account: 'a' } } }),
    );
    expect(keyOf({}, principalOf('exchange', ['subscribe', 'read']))).toBe(keyOf({}));
    expect(keyOf({}, principalOf('exchange', ['read', 'subscribe'], { expiresAt: 1n }))).toBe(keyOf({}));
  });
});

describe('not the same', () => {
  const account = (owner: string) => ({ reach: { kind: 'ACCOUNT', network: 'testnet', owner } }) as const;

  test.each<[string, Parameters<typeof keyOf>]>([
    ['another document', [{ query: `${QUERY} ` }]],
    ['another operation', [{ operationName: 'Other' }]],
    ['another variable', [{ variables: { filter: { account: 'a' } } }]],
    ['more scopes', [{}, principalOf('exchange', ['read', 'subscribe', 'desk'])]],
    ['another client', [{}, principalOf('exchange', ['read', 'subscribe'], { client: 'other' })]],
    ['another name', [{}, principalOf('other', ['read', 'subscribe'], { client: 'exchange' })]],
    ['a reach of one account', [{}, principalOf('exchange', ['read', 'subscribe'], account('alice'))]],
  ])('is %s', (_what, given) => {
    expect(keyOf(...given)).not.toBe(keyOf({}));
  });

  test('are two customers', () => {
    const of = (owner: string) => keyOf({}, principalOf('exchange', ['read', 'subscribe'], account(owner)));

    expect(of('alice')).not.toBe(of('bob'));
  });

  test('are those whose start is used for something else as well', () => {
    const query = 'subscription ($after: Cursor) { deposits(after: $after) { cursor @include(if: $after) } }';

    expect(keyOf({ query, variables: { after: 'a' } })).not.toBe(keyOf({ query, variables: { after: 'b' } }));
  });
});

test.each([
  ['{ deposits { cursor memo amount __typename } }', true],
  ['{ deposits { transfer { status } } }', false],
  ['{ deposits { ...f } } fragment f on DepositEvent { cursor }', false],
  ['{ events { payload type } }', true],
  ['{ events { cursor deposit { cursor } } }', false],
])('of facts alone is `subscription %s`: %s', (text, expected) => {
  const query = `subscription ${text}`;

  expect(asksFactsAlone(createSchema(), { document: parse(query), query, operationName: null, variables: {} })).toBe(
    expected,
  );
});
