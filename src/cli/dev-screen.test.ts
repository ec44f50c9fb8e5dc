import { expect, test } from 'vitest';
import type { DevProgress } from './dev-progress.ts';
import { readable, renderBlock, renderLine } from './dev-screen.ts';

const WITHDRAWAL = {
  createdAt: 1_767_225_600_000_000n,
  amount: 15_000_000_000n,
  instrument: 'CC',
  account: 'bob',
  decidableBy: null,
  failureCode: null,
};

const PROGRESS: DevProgress = {
  streams: [
    {
      stream: {
        treasury: { network: 'simnet', party: 'treasury::1220', name: 'treasury' },
        status: 'RUNNING',
        statusReason: null,
        epoch: 1,
        participantId: 'participant1::1220',
        ledgerOffset: 51n,
        updatesCount: 40n,
        quarantinedCount: 0n,
        observedAt: 1_767_225_600_000_000n,
        recordTime: 1_767_225_600_000_000n,
        synchronizers: [{ synchronizerId: 'global', recordTime: 1_767_225_600_000_000n }],
      },
      freshness: { recordTime: 1_767_225_600_000_000n, ageMs: 430, state: 'IDLE' },
    },
  ],
  creditedCount: 38,
  unattributedCount: 2,
  offersCount: 5,
  withdrawals: { requested: 4, completed: 3, ended: 0 },
  instruments: [
    { name: 'CC', credited: 12_345_678_900_000_0n, ownerless: 10n, held: 12_345_678_900_001_0n, offered: 0n },
  ],
  recent: [
    {
      recordTime: 1_767_225_600_000_000n,
      amount: 12_500_000_000_0n,
      instrument: 'CC',
      memo: 'a\u001b[2J\u0007\u202e',
      account: null,
    },
    {
      recordTime: 1_767_225_599_000_000n,
      amount: 30_000_000_000n,
      instrument: 'CC',
      memo: 'alice-1',
      account: 'alice',
    },
  ],
  recentWithdrawals: [
    { ...WITHDRAWAL, state: 'QUEUED' },
    { ...WITHDRAWAL, state: 'IN_FLIGHT', decidableBy: 1_767_225_660_000_000n },
    { ...WITHDRAWAL, state: 'FAILED', failureCode: 'NOT_COMMITTED' },
    { ...WITHDRAWAL, state: 'CANCELLED' },
    { ...WITHDRAWAL, state: 'COMPLETED' },
  ],
};

const plain = (_: unknown, text: string): string => text;

test('amounts are exact, grouped, and without the zeros at the end', () => {
  expect(readable(0n)).toBe('0');
  expect(readable(1n)).toBe('0.0000000001');
  expect(readable(-12_345_000_000_000_0n)).toBe('-12,345');
  expect(readable(10n ** 40n)).toBe('1,000,000,000,000,000,000,000,000,000,000');
});

test('the block fits 80 columns and shows position, totals and what came last', () => {
  const lines = renderBlock(PROGRESS, plain);

  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines.join('\n')).toMatch(/treasury +IDLE +40 updates · offset 51 · 0\.4 s behind/);
  expect(lines.join('\n')).toMatch(/CC +12,345\.6789 +0\.000000001 +12,345\.678900001 +0\n/);
  expect(lines.join('\n')).toMatch(/23:59:59 +3 CC +→ alice +memo "alice-1"/);
  expect(lines.slice(-5).map((line) => line.replace(/.* ← bob {2}/, ''))).toEqual([
    'queued',
    'certain by 00:01:00',
    'failed: NOT_COMMITTED',
    'cancelled',
    'paid',
  ]);
  expect(lines.at(-1)).toMatch(/^ {2}00:00:00 +1\.5 CC +← bob {2}paid$/);
});

test('a stranger’s memo cannot move the cursor', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this is about control characters.
  expect(renderBlock(PROGRESS, plain).join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
});

test('one line says the same to a pipe', () => {
  expect(renderLine(PROGRESS)).toBe(
    'treasury IDLE updates=40 offset=51 lag=0.4 s; 38 deposits credited, 2 without an owner, 5 offers seen; 4 withdrawals requested, 3 paid, 0 ended unpaid; CC credited=12,345.6789 treasury=12,345.678900001',
  );
});
