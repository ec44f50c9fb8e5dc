import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createPrincipals, parseApiKey } from './principals.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('development principals', () => {
  const { authenticate, isDevelopment } = createPrincipals([]);

  test('the developer is the default, the others are named', () => {
    expect(isDevelopment).toBe(true);
    expect(authenticate(undefined)).toMatchObject({ name: 'developer' });
    expect(authenticate('Bearer dev-frontend')).toEqual({ name: 'frontend', scopes: new Set(['read']) });
    expect(authenticate('bearer dev-service')).toMatchObject({
      scopes: new Set(['read', 'subscribe', 'withdrawals']),
    });
    expect(authenticate('Bearer dev-operator')).toMatchObject({ name: 'operator' });
  });

  test.each(['', 'Bearer', 'Bearer ', 'Bearer dev-nobody', 'Basic dev-developer', 'Bearer developer', 'dev-developer'])(
    '%j is unknown, not the developer',
    (authorization) => {
      expect(authenticate(authorization)).toBe('UNKNOWN');
    },
  );
});

describe('API keys', () => {
  const keys = [
    parseApiKey(`ledger:read+subscribe:${sha256('secret-1')}`),
    parseApiKey(`frontend:read:${sha256('secret-2')}`),
  ];
  const { authenticate, isDevelopment } = createPrincipals(keys);

  test('a key stands for its principal and its scopes, and nothing else does', () => {
    expect(isDevelopment).toBe(false);
    expect(authenticate('Bearer secret-1')).toEqual({ name: 'ledger', scopes: new Set(['read', 'subscribe']) });
    expect(authenticate('Bearer secret-2')).toEqual({ name: 'frontend', scopes: new Set(['read']) });
    expect(authenticate(undefined)).toBe('MISSING');
    for (const wrong of ['Bearer secret-3', 'Bearer dev-developer', `Bearer ${sha256('secret-1')}`, 'secret-1', '']) {
      expect(authenticate(wrong), wrong).toBe('UNKNOWN');
    }
  });

  test.each([
    '',
    'name',
    'name:read',
    `:read:${sha256('x')}`,
    `name::${sha256('x')}`,
    `name:write:${sha256('x')}`,
    `name:read+:${sha256('x')}`,
    `name:read:${sha256('x').slice(1)}`,
    `name:read:${sha256('x').toUpperCase()}`,
    `na me:read:${sha256('x')}`,
    // Whoever had these names would pass for Sluice itself where it is kept who decided.
    ...['memo', 'screening', 'configuration', 'ingestion', 'verification', 'sluice:desk', 'sluice:ledger'].map(
      (name) => `${name}:read:${sha256('x')}`,
    ),
  ])('%j is refused and not repeated in the error', (entry) => {
    expect(() => parseApiKey(entry)).toThrow(expect.objectContaining({ code: 'API_KEY_INVALID' }));
    expect(() => parseApiKey(entry)).not.toThrow(sha256('x').slice(1));
  });
});
