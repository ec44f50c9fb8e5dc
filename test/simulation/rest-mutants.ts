/** Mistakes that only those invariants see which look at what came to rest, or count apart from the product: they must be able to fail. */
import type { Mutant } from './mutants.ts';

export const REST_MUTANTS: readonly Mutant[] = [
  {
    name: 'self-transfer-unsettled',
    mistake: 'What the ledger shows of a transfer to ourselves is told to nobody.',
    company: ['pools'],
    changes: [
      {
        file: 'withdrawals/pool/self-transfer-sink.ts',
        find: 'if (ours !== null) await settle(',
        replace: 'if (ours !== null && ours.number < 0) await settle(',
      },
    ],
  },
  {
    name: 'halts-lost-with-the-database',
    mistake: 'Halts go with the database that forgets them.',
    company: ['databaseRestored', 'operatorHalts'],
    changes: [
      { file: 'submissions/held-money.ts', find: 'await restoreHalts(tx, halts);', replace: '[] as string[];' },
    ],
  },
  {
    name: 'velocity-counts-the-paid',
    mistake: 'A rule that counts leaves out what is still under way.',
    company: ['policies'],
    changes: [
      {
        file: 'policy/velocity.ts',
        find: `AND w.state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED')\``,
        replace: `AND w.state = 'COMPLETED'\``,
      },
    ],
  },
];
