/**
 * Who answers, for a user who may not ask. `GetParticipantId` is an administrator's call in Canton, and a user that reads and executes for the treasuries should be none; so where it is
 * refused the endpoint goes by a name of ours instead: the participant's id as the configuration has it, else one made of the endpoint's URL.
 *
 * Nothing rests on the name being right. It only says when to look closer: under another name than the stored one the place in the history is found by update ids, and under the same
 * name our newest updates still have to stand where they stood.
 */
import { RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import {
  GetParticipantIdResponse,
  PartyManagementServiceService,
} from '../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import type { Channel } from './channel.ts';

/** @returns the channel, with `name` for an answer where the participant's id may not be asked for. Other refusals and failures stay. */
export function withParticipantName(channel: Channel, name: string, logger: Logger): Channel {
  let isTold = false;
  return {
    ...channel,
    call: async (method, request, more) => {
      try {
        return await channel.call(method, request, more);
      } catch (error) {
        if (method.path !== PartyManagementServiceService.getParticipantId.path || !isForbidden(error)) throw error;
        if (!isTold) logger.info('The ledger user may not ask who the participant is; it goes by a name.', { name });
        isTold = true;
        const answer = GetParticipantIdResponse.encode(GetParticipantIdResponse.fromPartial({ participantId: name }));
        return method.responseDeserialize(Buffer.from(answer.finish()));
      }
    },
  };
}

/** The name of an endpoint whose participant nobody named. */
export function endpointName(url: string): string {
  return `endpoint:${url}`;
}

function isForbidden(error: unknown): boolean {
  return error instanceof RetryableError && error.facts['grpcStatus'] === 'PERMISSION_DENIED';
}
