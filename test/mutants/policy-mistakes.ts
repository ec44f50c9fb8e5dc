/** Mistakes about who may let money go. */
import type { DirectMistake } from './direct-mistake.ts';
import { inFunction } from './walls.ts';

const APPROVALS = 'test/policy/approvals.test.ts';
const VERDICT = 'deposits/screening-verdict.ts';

export const POLICY_MISTAKES: readonly DirectMistake[] = [
  {
    name: 'approval-hash-not-compared',
    mistake: 'Whoever approves is believed to have seen what is paid.',
    changes: [
      {
        file: 'policy/approvals.ts',
        find: 'if (parseIntentHash(judgement.intentHash)?.equals(found.intentHash) !== true) {',
        replace: 'if (parseIntentHash(judgement.intentHash) === null) {',
      },
    ],
    killer: { file: APPROVALS, test: 'a hash of something else is refused' },
  },
  {
    name: 'requester-approves',
    mistake: 'Who asked for a withdrawal may approve it as well.',
    changes: [
      {
        file: 'policy/approvals.ts',
        find: 'found.requesters.includes(personOf(by))',
        replace: 'found.requesters.includes(personOf(by)) && by.length < 0',
      },
    ],
    killer: { file: APPROVALS, test: 'Z20: the requester' },
  },
  {
    name: 'approvals-for-ever',
    mistake: 'A yes is a yes, however long ago.',
    changes: [],
    database: inFunction('policy_leave', 'yes.expires_at > COALESCE(policy_leave.at, v.decided_at)', 'true'),
    killer: { file: APPROVALS, test: 'run out in the queue' },
  },
  {
    name: 'approval-of-another-intent-counts',
    mistake: 'A yes is a yes, whatever was asked then.',
    changes: [],
    database: inFunction('policy_leave', 'yes.intent_hash = withdrawal_intent_hash(policy_leave.wanted)', 'true'),
    killer: { file: APPROVALS, test: 'what is changed behind its back' },
  },
  {
    name: 'keys-are-people',
    mistake: 'Each key is somebody else.',
    changes: [],
    database: `CREATE OR REPLACE FUNCTION person_of(principal text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN principal`,
    killer: { file: APPROVALS, test: 'Z20: of any two keys' },
  },
  {
    name: 'velocity-without-lock',
    mistake: 'What others took is counted, and nobody waits for those who count at the same time.',
    changes: [
      {
        file: 'policy/velocity.ts',
        find: 'if (questions.length === 0) return;',
        replace: 'if (questions.length >= 0) return;',
      },
    ],
    killer: { file: 'test/policy/velocity.test.ts', test: 'requests at once take exactly the sum' },
  },
  {
    name: 'allowed-twice-credited-twice',
    mistake: 'Each answer is booked, whoever asked, and however often.',
    changes: [
      {
        file: VERDICT,
        find: `if (screening?.state !== 'WAITING' && screening?.state !== 'PARKED') return 'NOT_ASKED';`,
        replace: `if (screening === null || screening.state === 'ENDED') return 'NOT_ASKED';`,
      },
      {
        file: VERDICT,
        find: `if (isToCredit) await credit(`,
        replace: `if (verdict.kind === 'ALLOW' && (place === 'HELD' || place === 'SETTLED')) await credit(`,
      },
      // The tables would refuse both: without those walls the mistake shows.
      {
        file: VERDICT,
        find: `cause: \`screening:\${row.transferId}:allowed\``,
        replace: `cause: \`screening:\${row.transferId}:allowed:\${nowMicros}\``,
      },
      {
        file: VERDICT,
        find: `await insertRows(tx, 'attribution', ATTRIBUTION_COLUMNS, [`,
        replace: `const { rows: credited } = await sql\`SELECT FROM attribution WHERE transfer_id = \${row.transferId}\`.execute(tx);
  if (credited.length === 0) await insertRows(tx, 'attribution', ATTRIBUTION_COLUMNS, [`,
      },
    ],
    killer: { file: 'test/deposits/screening.test.ts', test: 'answered twice, as two asked' },
  },
];
