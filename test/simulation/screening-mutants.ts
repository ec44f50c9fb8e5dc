/** Mistakes with screening: money that nobody let pass, or let pass once. */
import type { Mutant } from './mutants.ts';

const LOOP = 'deposits/screening-loop.ts';

export const SCREENING_MUTANTS: readonly Mutant[] = [
  {
    name: 'denial-credits',
    mistake: 'Whoever answers has no objection.',
    company: ['screening'],
    changes: [
      {
        file: 'deposits/screening-client.ts',
        find: `kind: verdict === 'allow' ? 'ALLOW' : 'DENY'`,
        replace: `kind: 'ALLOW'`,
      },
    ],
  },
  {
    name: 'silence-is-leave',
    mistake: 'A service that does not answer has no objection.',
    company: ['screening'],
    changes: [
      {
        file: LOOP,
        find: 'answer = await client.ask(question, signal);',
        replace: `answer = await client.ask(question, signal).catch(() => ({ kind: 'ALLOW', caseId: null, reason: null }));`,
      },
    ],
  },
  {
    name: 'denied-withdrawal-goes-on',
    mistake: 'What the service says of a withdrawal is noted, for people to read.',
    company: ['screening', 'policies'],
    changes: [
      {
        file: 'policy/withdrawal-screening.ts',
        find: `state = \${verdict.kind === 'ALLOW' ? 'ALLOWED' : 'DENIED'}, next_try_at`,
        replace: `state = 'ALLOWED', next_try_at`,
      },
      {
        file: 'policy/withdrawal-screening.ts',
        find: `if (verdict.kind === 'DENY') {`,
        replace: `if (verdict.kind === 'DENY' && standing.number < 0) {`,
      },
    ],
  },
];
