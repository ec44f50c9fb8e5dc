/** Which rights are missing and which are too wide, from every list of rights there can be. */
import { describe, expect, test } from 'vitest';
import type { Right } from '../gen/com/daml/ledger/api/v2/admin/user_management_service.ts';
import { grantCommand, judgeRights } from './ledger-rights.ts';

const OURS = 'treasury::1220aa';
const OTHER = 'stranger::1220bb';
const readAs = (party: string): Right => ({ kind: { $case: 'canReadAs', value: { party } } });
const actAs = (party: string): Right => ({ kind: { $case: 'canActAs', value: { party } } });
const executeAs = (party: string): Right => ({ kind: { $case: 'canExecuteAs', value: { party } } });
const judge = (rights: readonly Right[], needs: readonly ('READ' | 'EXECUTE')[] = ['READ', 'EXECUTE']) =>
  judgeRights('sluice', rights, { parties: [OURS], needs }).map(
    ({ kind, right, party }) => `${kind} ${right} ${party}`,
  );

describe('rights of a ledger user', () => {
  test('reading and executing as the treasury is all it takes, and not too much', () => {
    expect(judge([readAs(OURS), executeAs(OURS)])).toEqual([]);
  });

  test('what is missing is named with the command that grants it', () => {
    const [finding] = judgeRights('sluice', [executeAs(OURS)], { parties: [OURS], needs: ['READ', 'EXECUTE'] });

    expect(finding).toMatchObject({ kind: 'MISSING', right: 'CanReadAs', party: OURS });
    expect(finding).toHaveProperty('grant', grantCommand('sluice', 'CanReadAs', OURS));
    expect(grantCommand('sluice', 'CanReadAs', OURS)).toContain('/v2/users/sluice/rights');
    expect(judge([])).toEqual([`MISSING CanReadAs ${OURS}`, `MISSING CanExecuteAs ${OURS}`]);
    expect(judge([], ['READ'])).toEqual([`MISSING CanReadAs ${OURS}`]);
  });

  test.each<[string, Right, string]>([
    ['an administrator', { kind: { $case: 'participantAdmin', value: {} } }, 'TOO_WIDE ParticipantAdmin null'],
    [
      'whoever makes users',
      { kind: { $case: 'identityProviderAdmin', value: {} } },
      'TOO_WIDE IdentityProviderAdmin null',
    ],
    ['acting as anybody', { kind: { $case: 'canActAsAnyParty', value: {} } }, 'TOO_WIDE CanActAsAnyParty null'],
    ['reading everybody', { kind: { $case: 'canReadAsAnyParty', value: {} } }, 'TOO_WIDE CanReadAsAnyParty null'],
    [
      'executing for anybody',
      { kind: { $case: 'canExecuteAsAnyParty', value: {} } },
      'TOO_WIDE CanExecuteAsAnyParty null',
    ],
    ['acting as the treasury', actAs(OURS), `TOO_WIDE CanActAs ${OURS}`],
    ['acting as somebody else', actAs(OTHER), `TOO_WIDE CanActAs ${OTHER}`],
    ['reading as somebody else', readAs(OTHER), `TOO_WIDE CanReadAs ${OTHER}`],
    ['executing as somebody else', executeAs(OTHER), `TOO_WIDE CanExecuteAs ${OTHER}`],
    ['a right of a later version', { kind: undefined }, 'TOO_WIDE a right of a kind this version does not know null'],
  ])('%s is warned of', (_what, right, expected) => {
    expect(judge([readAs(OURS), executeAs(OURS), right])).toEqual([expected]);
  });

  test('executing is too much for a process that pays nothing', () => {
    expect(judge([readAs(OURS), executeAs(OURS)], ['READ'])).toEqual([`TOO_WIDE CanExecuteAs ${OURS}`]);
  });

  test('a wide right covers what a narrow one would', () => {
    expect(judge([actAs(OURS)])).toEqual([`TOO_WIDE CanActAs ${OURS}`]);
    expect(judge([{ kind: { $case: 'canReadAsAnyParty', value: {} } }, executeAs(OURS)])).toEqual([
      'TOO_WIDE CanReadAsAnyParty null',
    ]);
  });
});
