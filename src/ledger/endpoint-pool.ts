/**
 * The participant endpoints of a network as channels. Two ways to use them:
 *
 * - A *session* stays on one endpoint from its beginning to its end, whatever fails: what was proven about a participant holds for the calls after it. It moves on only
 *   when it begins anew.
 * - The *roaming* channel sends each call to the healthiest endpoint of the moment: for questions that every participant of a party may answer.
 */
import type { Clock } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { PartyManagementServiceService } from '../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { StateServiceService } from '../gen/com/daml/ledger/api/v2/state_service.ts';
import type { CallLimit } from './call-limit.ts';
import { type Channel, type ChannelTiming, openChannel } from './channel.ts';
import { createEndpointHealth, type EndpointState } from './endpoint-health.ts';
import { ledgerErrorOf } from './ledger-error.ts';
import { endpointName, withParticipantName } from './participant-name.ts';
import type { TokenSource } from './token-source.ts';

export type EndpointPoolOptions = {
  /** One or more, in the order of preference. */
  readonly urls: readonly string[];
  /** Ids of the participants behind the URLs, in their order: for where the user may not ask. */
  readonly participantNames?: readonly string[];
  readonly tokens?: TokenSource;
  /** Makes the limits of one endpoint. */
  readonly limitOf?: () => CallLimit;
  readonly timing?: Partial<ChannelTiming>;
  readonly switchAfterMs?: number;
  readonly healthCheckMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
};

export type EndpointSession = {
  /** Goes to the endpoint of the last `begin`; before the first one, to the first endpoint. Closing it does nothing: the pool owns the connections. */
  readonly channel: Channel;
  /**
   * Chooses the endpoint of all calls from now on.
   * @param preferred the participant whose offsets are stored.
   * @returns a mark of the endpoint: the same for the same endpoint.
   */
  begin(preferred: string | null): number;
  /** The participant that answers at the present endpoint. @returns whether it is the best that is known to be had for `preferred`. */
  learned(participantId: string, preferred: string | null): boolean;
};

export type EndpointPool = {
  openSession(): EndpointSession;
  readonly roaming: Channel;
  /** Asks endpoints without an open stream now and then how they are, until `signal` aborts. With a single endpoint there is nothing to choose, and it asks nothing. */
  run(signal: AbortSignal): Promise<void>;
  /** For gauges and for the last words of a worker. */
  states(): readonly EndpointState[];
  /** Harmless when repeated. */
  close(): void;
};

const SWITCH_AFTER_MS = 30_000; // A participant that restarts is back by then; finding the place on another one starts a new epoch.
const HEALTH_CHECK_MS = 10_000;

/** @throws PermanentError LEDGER_URL_INVALID. */
export function createEndpointPool(options: EndpointPoolOptions): EndpointPool {
  const { urls, tokens, timing, clock, random, logger } = options;
  const health = createEndpointHealth({ urls, clock, random, switchAfterMs: options.switchAfterMs ?? SWITCH_AFTER_MS });
  const endpoints = urls.map((url, index) => {
    const channel = openChannel({
      url,
      ...(tokens && { tokens }),
      ...(timing && { timing }),
      ...(options.limitOf && { limit: options.limitOf() }),
    });
    const named = withParticipantName(channel, options.participantNames?.[index] ?? endpointName(url), logger);
    return { index, channel: watched(named, index), streams: 0 };
  });
  const endpointAt = (index: number) => {
    const endpoint = endpoints[index];
    if (endpoint === undefined) throw new RangeError(`There is no endpoint ${index}.`);
    return endpoint;
  };

  /** A channel whose failures count against its endpoint. */
  function watched(channel: Channel, index: number): Channel {
    const fail = (error: unknown): void => {
      const before = health.states()[index]?.failures;
      health.failed(index, error);
      const { url, failures = 0, lastError } = health.states()[index] ?? {};
      if (before === 0 && failures > 0 && urls.length > 1) logger.warn('An endpoint fails.', { url, why: lastError });
    };
    return {
      call: async (method, request, more) => {
        try {
          return await channel.call(method, request, more);
        } catch (error) {
          fail(error);
          throw error;
        }
      },
      stream: async (method, request, signal) => {
        try {
          const stream = await channel.stream(method, request, signal);
          const endpoint = endpointAt(index);
          endpoint.streams += 1;
          // Headers: the participant has taken the question.
          stream.on('metadata', () => health.succeeded(index));
          stream.on('error', (error) => fail(signal.aborted ? signal.reason : ledgerErrorOf(error, 'stream')));
          stream.once('close', () => {
            endpoint.streams -= 1;
          });
          return stream;
        } catch (error) {
          fail(error);
          throw error;
        }
      },
      close: channel.close,
    };
  }

  async function check(index: number): Promise<void> {
    const { channel } = endpointAt(index);
    try {
      const { participantId } = await channel.call(PartyManagementServiceService.getParticipantId, {});
      // A passive replica answers the first question and not this one.
      await channel.call(StateServiceService.getLedgerEnd, {});
      const { failures = 0, url } = health.states()[index] ?? {};
      if (failures > 0) logger.info('An endpoint answers again.', { url, participantId });
      health.learned(index, participantId);
      health.succeeded(index);
    } catch (error) {
      if (!(error instanceof RetryableError))
        logger.warn('An endpoint refuses to say how it is.', { why: String(error) });
    }
  }

  return {
    openSession: () => {
      let present = endpointAt(0);
      return {
        channel: {
          call: (method, request, more) => present.channel.call(method, request, more),
          stream: (method, request, signal) => present.channel.stream(method, request, signal),
          close: () => undefined,
        },
        begin: (preferred) => {
          const next = endpointAt(health.choose(preferred));
          if (next !== present) {
            const { url, participantId } = health.states()[next.index] ?? {};
            logger.info('A session moves to another endpoint.', { url, participantId });
          }
          present = next;
          return present.index;
        },
        learned: (participantId, preferred) => {
          health.learned(present.index, participantId);
          return health.choose(preferred) === present.index;
        },
      };
    },
    roaming: {
      call: (method, request, more) => endpointAt(health.choose(null)).channel.call(method, request, more),
      stream: (method, request, signal) => endpointAt(health.choose(null)).channel.stream(method, request, signal),
      close: () => undefined,
    },
    run: async (signal) => {
      if (endpoints.length === 1) return;
      while (!signal.aborted) {
        await Promise.all(endpoints.filter(({ streams }) => streams === 0).map(({ index }) => check(index)));
        await clock.sleep(options.healthCheckMs ?? HEALTH_CHECK_MS, signal);
      }
    },
    states: health.states,
    close: () => {
      for (const { channel } of endpoints) channel.close();
    },
  };
}
