/** Users and their rights over the Ledger API: everybody may read his own, an administrator everybody's; only an administrator makes and grants. */
import type {
  CreateUserRequest,
  CreateUserResponse,
  GetUserRequest,
  GetUserResponse,
  GrantUserRightsRequest,
  GrantUserRightsResponse,
  ListUserRightsRequest,
  ListUserRightsResponse,
  Right,
} from '../../gen/com/daml/ledger/api/v2/admin/user_management_service.ts';
import { noSuchUser, permissionDenied, unauthenticated, userNeeded } from '../access/refusals.ts';
import type { Rights, Users } from '../access/users.ts';
import type { CallOptions } from '../ledger/ledger-api.ts';

export type UserManagementApi = {
  getUser(request: GetUserRequest, options?: CallOptions): Promise<GetUserResponse>;
  listUserRights(request: ListUserRightsRequest, options?: CallOptions): Promise<ListUserRightsResponse>;
  createUser(request: CreateUserRequest, options?: CallOptions): Promise<CreateUserResponse>;
  grantUserRights(request: GrantUserRightsRequest, options?: CallOptions): Promise<GrantUserRightsResponse>;
};

export function createUserManagement(users: Users): UserManagementApi {
  /** Whom a request is about. @param wanted empty: the caller. */
  const subject = (
    wanted: string,
    options: CallOptions | undefined,
  ): { readonly id: string; readonly rights: Rights } => {
    let id = wanted;
    if (users.isDemanded()) {
      const caller = callerOf(options);
      if (wanted !== '' && wanted !== caller.id && caller.rights.isAdmin !== true) throw permissionDenied();
      id = wanted === '' ? caller.id : wanted;
    }
    if (id === '') throw userNeeded();
    const rights = users.rightsOf(id);
    if (rights === undefined) throw noSuchUser(id);
    return { id, rights };
  };
  const callerOf = (options: CallOptions | undefined): { readonly id: string; readonly rights: Rights } => {
    const id = users.claimsOf(options?.token)?.sub;
    const rights = id === undefined ? undefined : users.rightsOf(id);
    if (id === undefined || rights === undefined) throw unauthenticated();
    return { id, rights };
  };
  const demandAdmin = (options: CallOptions | undefined): void => {
    if (users.isDemanded() && callerOf(options).rights.isAdmin !== true) throw permissionDenied();
  };

  return {
    getUser: async ({ userId }, options) => ({ user: shown(subject(userId, options).id) }),
    listUserRights: async ({ userId }, options) => ({ rights: rightsShown(subject(userId, options).rights) }),
    createUser: async ({ user, rights }, options) => {
      demandAdmin(options);
      const id = user?.id ?? '';
      if (id === '') throw userNeeded();
      users.setUser({ id, rights: withRights({}, rights) });
      return { user: shown(id) };
    },
    grantUserRights: async ({ userId, rights }, options) => {
      demandAdmin(options);
      const known = users.rightsOf(userId);
      if (known === undefined) throw noSuchUser(userId);
      const before = rightsShown(known).map((right) => JSON.stringify(right));
      users.setUser({ id: userId, rights: withRights(known, rights) });
      return { newlyGrantedRights: rights.filter((right) => !before.includes(JSON.stringify(right))) };
    },
  };
}

function shown(id: string): GetUserResponse['user'] {
  return {
    id,
    primaryParty: '',
    isDeactivated: false,
    metadata: undefined,
    identityProviderId: '',
    primaryPartyAuthentication: false,
  };
}

function rightsShown({ actAs = [], executeAs = [], readAs = [], readAsAnyParty, isAdmin }: Rights): Right[] {
  return [
    ...(isAdmin === true ? [{ kind: { $case: 'participantAdmin', value: {} } } as const] : []),
    ...actAs.map((party) => ({ kind: { $case: 'canActAs', value: { party } } }) as const),
    ...readAs.map((party) => ({ kind: { $case: 'canReadAs', value: { party } } }) as const),
    ...executeAs.map((party) => ({ kind: { $case: 'canExecuteAs', value: { party } } }) as const),
    ...(readAsAnyParty === true ? [{ kind: { $case: 'canReadAsAnyParty', value: {} } } as const] : []),
  ];
}

function withRights(known: Rights, added: readonly Right[]): Rights {
  const parties = (kind: 'canActAs' | 'canReadAs' | 'canExecuteAs', before: readonly string[] = []): string[] => [
    ...new Set([...before, ...added.flatMap((right) => (right.kind?.$case === kind ? [right.kind.value.party] : []))]),
  ];
  const has = (kind: 'participantAdmin' | 'canReadAsAnyParty', before: boolean | undefined): boolean =>
    before === true || added.some((right) => right.kind?.$case === kind);
  return {
    actAs: parties('canActAs', known.actAs),
    readAs: parties('canReadAs', known.readAs),
    executeAs: parties('canExecuteAs', known.executeAs),
    isAdmin: has('participantAdmin', known.isAdmin),
    readAsAnyParty: has('canReadAsAnyParty', known.readAsAnyParty),
  };
}
