/** How long a query may wait for what it demands, and what is given while the database is away (docs/freshness.md). */
import { withDefault } from './key.ts';
import * as values from './values.ts';

export const FRESHNESS_KEYS = {
  atLeastWaitMs: withDefault('3000', {
    variable: 'SLUICE_AT_LEAST_WAIT_MS',
    type: '0–10000',
    unit: 'milliseconds',
    meaning:
      'How long a query with `@atLeast` waits at most for what it demands, and does where it names no time of its own.',
    schema: values.wholeNumber(0, 10_000),
  }),
  lastKnownMegabytes: withDefault('32', {
    variable: 'SLUICE_LAST_KNOWN_MEGABYTES',
    type: '0–1024',
    unit: 'megabytes',
    meaning:
      'Memory of a process with an API for the last answers to a short list of questions, which are given, marked as such, while the database is away. 0: none are kept.',
    schema: values.wholeNumber(0, 1_024),
  }),
  lastKnownSeconds: withDefault('3600', {
    variable: 'SLUICE_LAST_KNOWN_SECONDS',
    type: '1–86400',
    unit: 'seconds',
    meaning: 'How old such an answer may be.',
    schema: values.wholeNumber(1, 86_400),
  }),
} as const;
