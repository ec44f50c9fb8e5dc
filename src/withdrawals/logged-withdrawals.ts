/** Withdrawals that say in the log when one is asked for, and keep the id of the request it came with. */
import type { Logger } from '../env/logger.ts';
import type { CreatedWithdrawal, WithdrawalRequest, Withdrawals } from './withdrawal-requests.ts';

/** @param requestId of the request that is being answered; null: none is. */
export function loggedWithdrawals(
  withdrawals: Withdrawals,
  { logger, requestId }: { readonly logger: Logger; readonly requestId: () => string | null },
): Withdrawals {
  const withId = (request: WithdrawalRequest): WithdrawalRequest => ({ requestId: requestId(), ...request });
  const told = ({ client }: WithdrawalRequest, created: CreatedWithdrawal): CreatedWithdrawal => {
    const { id: withdrawalId, isReplayed } = created;
    logger.info('A withdrawal was requested.', { withdrawalId, client, isReplayed });
    return created;
  };
  return {
    ...withdrawals,
    create: async (request) => told(request, await withdrawals.create(withId(request))),
    createIn: async (tx, request, payer) => told(request, await withdrawals.createIn(tx, withId(request), payer)),
    cancel: async (client, id) => {
      const isTaken = await withdrawals.cancel(client, id);
      logger.info('The end of a withdrawal was asked for.', { withdrawalId: id, client, isTaken });
      return isTaken;
    },
  };
}
