/**
 * A participant of the simulated network as a process reaches it, without sockets. Requests, answers and every message of the stream are operations of the
 * scheduler. Refusals take the form they have on the wire, so that the project's own reading of them is at work.
 */
import { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { activeContractOf, type Ledger, ledgerEndOf, type StreamMessage } from '../../src/ledger/ledger-client.ts';
import { ledgerErrorOf } from '../../src/ledger/ledger-error.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Hiding } from './hiding.ts';
import type { Marks } from './marks.ts';
import { type OutsideCalls, unavailable, wireErrorOf } from './outside-calls.ts';
import type { Actor, Scheduler } from './scheduler.ts';

export type ParticipantAccessOptions = {
  readonly participant: Participant;
  readonly actor: Actor;
  readonly scheduler: Scheduler;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  /** Aborts when the process dies: its sockets close. */
  readonly died: AbortSignal;
  readonly calls: OutsideCalls;
  readonly hiding: Hiding;
};

const LATE_MS_MAX = 4_000;

export function createParticipantAccess(options: ParticipantAccessOptions): Ledger {
  const { participant, actor, scheduler, faults, dice, marks, died, hiding } = options;
  const { call, answering } = options.calls;
  const { api } = participant;

  return {
    participantId: async () =>
      (await call('GetParticipantId', async () => await api.getParticipantId({ signal: died }))).participantId,
    ledgerEnd: async () =>
      ledgerEndOf(await call('GetLedgerEnd', async () => await api.getLedgerEnd({ signal: died }))),
    prunedUpTo: async () =>
      (await call('GetLatestPrunedOffsets', async () => await api.getLatestPrunedOffsets({ signal: died })))
        .participantPrunedUpToInclusive,
    activeContracts: async function* ({ atOffset, format, signal }) {
      const request = {
        activeAtOffset: hiding.contractsAsOf(atOffset),
        eventFormat: format,
        streamContinuationToken: undefined,
      };
      await scheduler.reach(actor, 'active contracts');
      for await (const message of api.getActiveContracts(request, { signal: AbortSignal.any([signal, died]) })) {
        const contract = activeContractOf(message);
        if (contract !== null) yield contract;
      }
    },
    updateById: async (updateId, format) => {
      if (hiding.isHidden(updateId)) return null;
      try {
        return await call(
          'GetUpdateById',
          async () => await api.getUpdateById({ updateId, updateFormat: format }, { signal: died }),
        );
      } catch (error) {
        const known = ledgerErrorOf(error, 'GetUpdateById');
        if (known.code === 'UPDATE_NOT_FOUND') return null;
        throw known;
      }
    },
    updates: ({ beginExclusive, format, signal }) => deliver(beginExclusive, format, signal),
    close: () => undefined,
  };

  async function* deliver(
    beginExclusive: bigint,
    format: Parameters<Ledger['updates']>[0]['format'],
    signal: AbortSignal,
  ): AsyncGenerator<StreamMessage, void, undefined> {
    const torn = new AbortController();
    await scheduler.reach(actor, 'open stream');
    if (signal.aborted) return;
    const messages = api.getUpdates(
      { beginExclusive, endInclusive: undefined, updateFormat: format, descendingOrder: false },
      { signal: AbortSignal.any([signal, died, torn.signal]) },
    );
    try {
      for await (const message of messages) {
        // Also where the process has died meanwhile: then this never returns.
        const delayMs = faults.strikes('messageLate') ? dice.integer(1, LATE_MS_MAX) : 0;
        await scheduler.reach(actor, `message ${message.update?.$case}`, delayMs);
        await answering('message');
        if (signal.aborted) return;
        // As it came over the wire: nothing of the network's own objects reaches the process.
        const bytes = GetUpdatesResponse.encode(message).finish();
        if (hiding.hides(message, bytes)) continue;
        if (faults.strikes('streamTorn')) {
          marks.add('stream torn');
          if (dice.chance(0.3)) return;
          throw unavailable('GetUpdates');
        }
        yield { bytes, message: GetUpdatesResponse.decode(bytes) };
        if (faults.strikes('messageTwice')) {
          marks.add('message delivered twice');
          await scheduler.reach(actor, 'message again', dice.integer(0, LATE_MS_MAX) * dice.integer(0, 1));
          if (signal.aborted) return;
          yield { bytes, message: GetUpdatesResponse.decode(bytes) };
        }
      }
    } catch (error) {
      throw wireErrorOf(error, 'GetUpdates');
    } finally {
      torn.abort();
    }
  }
}
