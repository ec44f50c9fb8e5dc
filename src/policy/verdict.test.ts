import { expect, test } from 'vitest';
import { parseAmount } from '../tokens/amount.ts';
import { parsePolicy } from './policy-document.ts';
import { judge, type WithdrawalFacts } from './verdict.ts';

const policyAgainst = (client: string) =>
  parsePolicy(
    JSON.stringify({
      change: { approvals: 1, delaySeconds: 60 },
      approvalSeconds: 3_600,
      otherwise: 'ALLOW',
      rules: [{ name: 'named', when: { clients: [client] }, outcome: 'DENY' }],
    }),
  );

const askedBy = (client: string): WithdrawalFacts => ({
  account: 'alice',
  client,
  receiver: 'bob::1220aa',
  treasuryParty: 'treasury::1220bb',
  instrument: { admin: 'admin::1220cc', id: 'Amulet' },
  amount: parseAmount('1'),
});

test.each([
  ['Exchange', 'Exchange', 'DENY'],
  ['Exchange', 'Exchange/blue', 'DENY'],
  ['Exchange', 'exchange/green', 'DENY'],
  ['exchange', 'EXCHANGE', 'DENY'],
  ['exchange/blue', 'exchange/blue', 'DENY'],
  ['exchange/blue', 'exchange/green', 'ALLOW'],
  ['exchange/blue', 'exchange', 'ALLOW'],
  ['exchange', 'exchange2', 'ALLOW'],
])('Z20: a rule about %s says of what %s asks for: %s', (named, client, kind) => {
  expect(judge(policyAgainst(named), askedBy(client), () => ({ count: 0, sum: 0n })).kind).toBe(kind);
});
