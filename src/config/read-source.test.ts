import { describe, expect, test } from 'vitest';
import { formatReadSource, parseReadSource } from './read-source.ts';
import { registries } from './values.ts';

const A = 'https://a.example/api/scan';
const URLS = [A, 'https://b.example', 'https://c.example:8443/x', 'http://10.0.0.1:5012'];
const ADMIN = 'admin::1220ab';

describe('a source', () => {
  test.each([
    ['proxy', { strategy: 'proxy' }],
    [A, { strategy: 'rotate', urls: [A] }],
    [URLS.join('|'), { strategy: 'rotate', urls: URLS }],
    [`rotate:${URLS.join('|')}`, { strategy: 'rotate', urls: URLS }],
    [`quorum:${URLS.join('|')}`, { strategy: 'quorum', urls: URLS, faultsMax: 1 }],
    [`quorum:${URLS.slice(0, 3).join('|')}`, { strategy: 'quorum', urls: URLS.slice(0, 3), faultsMax: 0 }],
    [`quorum1:${URLS.slice(0, 3).join('|')}`, { strategy: 'quorum', urls: URLS.slice(0, 3), faultsMax: 1 }],
  ])('%s', (text, expected) => {
    const source = parseReadSource(text);

    expect(source).toEqual(expected);
    expect(source && parseReadSource(formatReadSource(source))).toEqual(expected);
  });

  test.each([
    '',
    'quorum',
    `quorum:${A}`,
    `quorum1:${A}|https://b.example`,
    `rotate2:${A}`,
    `${A}|${A}/`,
    `${A}|`,
    'ftp://a.example',
    'https://user:secret@a.example',
    `${A}?key=1`,
    'proxy:https://a.example',
  ])('is not %j', (text) => {
    expect(parseReadSource(text)).toBeNull();
  });
});

test('registries are named by admin or by instrument, whose id may hold anything but a comma', () => {
  const parsed = registries.parse(
    [`${ADMIN}=${A}`, `${ADMIN}/USDX=proxy`, `${ADMIN}/a/b=c=quorum:${URLS.join('|')}`].join(', '),
  );

  expect(parsed).toEqual([
    { admin: ADMIN, instrumentId: null, source: { strategy: 'rotate', urls: [A] } },
    { admin: ADMIN, instrumentId: 'USDX', source: { strategy: 'proxy' } },
    { admin: ADMIN, instrumentId: 'a/b=c', source: { strategy: 'quorum', urls: URLS, faultsMax: 1 } },
  ]);
  expect(registries.safeParse(`${ADMIN}=${A}, ${ADMIN}=proxy`).success).toBe(false);
  expect(registries.safeParse(`${ADMIN}=quorum:${A}`).success).toBe(false);
});
