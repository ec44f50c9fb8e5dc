/**
 * Which rights a Ledger API user needs for what we do with it, which of them it lacks, and which it has beyond. Pure: the rights come in as the participant lists them.
 *
 * A right that is missing stops the work; one that is too wide turns a stolen token into a stolen treasury (acting needs no signature of ours for parties whose key is at the node) or
 * into a way to read everybody's books.
 * @see Ledger API: UserManagementService.ListUserRights; the exchange guide's users: one that reads, one that acts.
 */
import type { Right } from '../gen/com/daml/ledger/api/v2/admin/user_management_service.ts';

/** What a process does with its user: READ follows the treasuries and prepares, EXECUTE hands in what was signed. */
export type Need = 'READ' | 'EXECUTE';

export type RightsFinding =
  | {
      readonly kind: 'MISSING';
      readonly right: 'CanReadAs' | 'CanExecuteAs';
      readonly party: string;
      /** What does not work without it. */
      readonly why: string;
      /** To be given to the participant's administrator. */
      readonly grant: string;
    }
  | { readonly kind: 'TOO_WIDE'; readonly right: string; readonly party: string | null; readonly why: string };

/**
 * @param rights as ListUserRights gives them.
 * @param parties the treasury parties.
 * @returns what is missing first. Empty: the user may do what it has to, and no more.
 */
export function judgeRights(
  user: string,
  rights: readonly Right[],
  { parties, needs }: { readonly parties: readonly string[]; readonly needs: readonly Need[] },
): readonly RightsFinding[] {
  const has = new Set(rights.map(keyOf));
  const any = (...kinds: readonly Kind[]): boolean => kinds.some((kind) => has.has(kind));
  const missing = parties.flatMap((party): RightsFinding[] => {
    const isActing = has.has(`canActAs:${party}`) || any('canActAsAnyParty');
    const isReading = isActing || has.has(`canReadAs:${party}`) || any('canReadAsAnyParty');
    const isExecuting = isActing || has.has(`canExecuteAs:${party}`) || any('canExecuteAsAnyParty');
    return [
      ...(needs.includes('READ') && !isReading
        ? [lacking(user, 'CanReadAs', party, 'its history cannot be followed and nothing can be prepared')]
        : []),
      ...(needs.includes('EXECUTE') && !isExecuting
        ? [lacking(user, 'CanExecuteAs', party, 'what was signed cannot be handed in')]
        : []),
    ];
  });
  const ours = new Set(parties);
  return [...missing, ...rights.flatMap((right) => tooWide(right, ours, needs))];
}

/** A command line that an administrator of the participant can use as it is, but for the token and the address of the JSON Ledger API. */
export function grantCommand(user: string, right: 'CanReadAs' | 'CanExecuteAs', party: string): string {
  const body = { userId: user, identityProviderId: '', rights: [{ kind: { [right]: { value: { party } } } }] };
  const url = `$JSON_API/v2/users/${encodeURIComponent(user)}/rights`;
  return `curl -X POST "${url}" -H "Authorization: Bearer $ADMIN_TOKEN" -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`;
}

type Kind = NonNullable<Right['kind']>['$case'];

function keyOf({ kind }: Right): string {
  switch (kind?.$case) {
    case 'canActAs':
    case 'canReadAs':
    case 'canExecuteAs':
      return `${kind.$case}:${kind.value.party}`;
    default:
      return kind?.$case ?? 'unknown';
  }
}

function lacking(user: string, right: 'CanReadAs' | 'CanExecuteAs', party: string, why: string): RightsFinding {
  return { kind: 'MISSING', right, party, why, grant: grantCommand(user, right, party) };
}

function tooWide({ kind }: Right, ours: ReadonlySet<string>, needs: readonly Need[]): readonly RightsFinding[] {
  const finding = (right: string, party: string | null, why: string): readonly RightsFinding[] => [
    { kind: 'TOO_WIDE', right, party, why },
  ];
  switch (kind?.$case) {
    case undefined:
      return finding('a right of a kind this version does not know', null, 'nobody here can say what it allows');
    case 'participantAdmin':
      return finding('ParticipantAdmin', null, 'whoever has the token can give himself every right');
    case 'identityProviderAdmin':
      return finding('IdentityProviderAdmin', null, 'whoever has the token can make users');
    case 'canActAsAnyParty':
      return finding('CanActAsAnyParty', null, 'it may act as every party that the participant hosts');
    case 'canExecuteAsAnyParty':
      return finding('CanExecuteAsAnyParty', null, 'it may hand in transactions of every party');
    case 'canReadAsAnyParty':
      return finding('CanReadAsAnyParty', null, 'it reads what is none of our business');
    case 'canActAs':
      return finding(
        'CanActAs',
        kind.value.party,
        ours.has(kind.value.party)
          ? 'reading and executing are enough for a treasury whose key is at the signer'
          : 'it is no treasury of ours',
      );
    case 'canExecuteAs':
      return ours.has(kind.value.party) && needs.includes('EXECUTE')
        ? []
        : finding('CanExecuteAs', kind.value.party, 'nothing is executed as that party here');
    case 'canReadAs':
      return ours.has(kind.value.party) ? [] : finding('CanReadAs', kind.value.party, 'it is no treasury of ours');
  }
}
