/** What administrators ask of a participant beyond reading and submitting: users and their rights, and new external parties. */
import type {
  AllocateExternalPartyRequest,
  AllocateExternalPartyResponse,
  GenerateExternalPartyTopologyRequest,
  GenerateExternalPartyTopologyResponse,
} from '../../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { permissionDenied, unauthenticated } from '../access/refusals.ts';
import type { Users } from '../access/users.ts';
import type { CallOptions } from '../ledger/ledger-api.ts';
import type { PartyAllocations } from './party-allocation.ts';
import { createUserManagement, type UserManagementApi } from './user-management.ts';

export type AdminApi = UserManagementApi & {
  generateExternalPartyTopology(
    request: GenerateExternalPartyTopologyRequest,
    options?: CallOptions,
  ): Promise<GenerateExternalPartyTopologyResponse>;
  allocateExternalParty(
    request: AllocateExternalPartyRequest,
    options?: CallOptions,
  ): Promise<AllocateExternalPartyResponse>;
};

export function createAdminApi({
  participantId,
  users,
  allocations,
}: {
  readonly participantId: string;
  readonly users: Users;
  readonly allocations: PartyAllocations;
}): AdminApi {
  const demandAdmin = (options: CallOptions | undefined): void => {
    if (!users.isDemanded()) return;
    const id = users.claimsOf(options?.token)?.sub;
    const rights = id === undefined ? undefined : users.rightsOf(id);
    if (rights === undefined) throw unauthenticated();
    if (rights.isAdmin !== true) throw permissionDenied();
  };
  return {
    ...createUserManagement(users),
    generateExternalPartyTopology: async (request, options) => {
      demandAdmin(options);
      return allocations.generate(participantId, request);
    },
    allocateExternalParty: async (request, options) => {
      demandAdmin(options);
      return allocations.allocate(participantId, request);
    },
  };
}
