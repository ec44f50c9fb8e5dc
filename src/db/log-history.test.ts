import { describe, expect, test } from 'vitest';
import { doubtOf, type LogMark, type LogState } from './log-history.ts';

const HISTORY = '7412345678901234567.00000001.16384.16999';
const PROMOTED = '7412345678901234567.00000002.16384.16999';
const known: LogMark = { epoch: 'a', position: 50n, history: HISTORY, walPosition: 1_000n };
const state: LogState = { ...known, position: 60n, walPosition: 1_100n, recordedHistory: HISTORY, hasEnded: false };

describe('C3: what speaks against a database being the one it was', () => {
  test.each<[string, Partial<LogState>, LogMark | null, ReturnType<typeof doubtOf>]>([
    ['it went on', {}, known, null],
    ['it stands where it stood', { position: 50n, walPosition: 1_000n }, known, null],
    ['nobody has seen it before', {}, null, null],
    ['it has never been noted in which history the log was written', { recordedHistory: null }, null, null],
    ['another timeline, database or cluster', { history: PROMOTED }, known, 'HISTORY_CHANGED'],
    ['the same, and nobody remembers anything', { history: PROMOTED }, null, 'HISTORY_CHANGED'],
    ['fewer events', { position: 49n }, known, 'WENT_BACK'],
    ['as many events, and less of the write-ahead log', { walPosition: 999n }, known, 'WENT_BACK'],
    ['an epoch that followed ours', { epoch: 'b', hasEnded: true, position: 10n, walPosition: 10n }, known, null],
    ['an epoch from before ours, which is unknown there', { epoch: '0', hasEnded: false }, known, 'WENT_BACK'],
    [
      'a promotion that was noticed, seen by one who knew it before: the write-ahead log of another timeline is not compared',
      { epoch: 'b', hasEnded: true, history: PROMOTED, recordedHistory: PROMOTED, walPosition: 10n },
      known,
      null,
    ],
  ])('%s', (_what, changed, mark, doubt) => {
    expect(doubtOf({ ...state, ...changed }, mark)).toBe(doubt);
  });
});
