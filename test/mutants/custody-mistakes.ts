/** Mistakes of those who sign. */
import type { DirectMistake } from './direct-mistake.ts';

const RULES = 'test/signer/remote-signer.test.ts';

export const CUSTODY_MISTAKES: readonly DirectMistake[] = [
  {
    name: 'kept-input-not-checked',
    mistake: 'The service knows which attempts are dead; the signer need not look.',
    changes: [
      { file: 'custody/signing-rules.ts', find: 'demand(isHarmless, ', replace: 'demand(isHarmless || true, ' },
    ],
    killer: { file: 'test/custody/way-of-paying.test.ts', test: '' },
  },
  {
    name: 'signer-counts-since-its-start',
    mistake: 'What was signed before the signer was started again is no concern of its limits.',
    changes: [
      {
        file: 'signer/signer-limits.ts',
        find: 'if (isCounted) paid.push(paidBy(payout, signedAt));',
        replace: 'if (isCounted) paid = [];',
      },
    ],
    killer: { file: RULES, test: 'Z19: hold whatever' },
  },
  {
    name: 'signer-knows-instruments-by-name',
    mistake: 'An instrument is its id, whoever its admin is.',
    changes: [{ file: 'signer/signer-limits.ts', find: 'known.admin === instrument.admin && ', replace: '' }],
    killer: { file: RULES, test: 'Z19: refuse another party' },
  },
];
