/**
 * What one client has open and asks for, over all its sockets and on every transport: caps on sockets, subscriptions and operations in
 * flight, and a token bucket on operations begun. A client is who its credential says it is, so opening another socket gains nothing.
 *
 * Counted per process: with several replicas behind a balancer a client has each limit once per replica.
 */
import type { Clock } from '../env/clock.ts';
import type { ApiLimits, ClientLimits } from '../schema/api-limits.ts';
import type { Principal } from '../schema/principal.ts';

/** What is counted until it is given back. */
export type Counted = 'SOCKETS' | 'SUBSCRIPTIONS' | 'OPERATIONS';

export type LimitRefusal = {
  readonly code: 'TOO_MANY_SOCKETS' | 'TOO_MANY_SUBSCRIPTIONS' | 'TOO_MANY_OPERATIONS' | 'RATE_LIMITED';
  readonly limit: number;
  /** Seconds after which it is worth another try; null: when something of the client's own has ended. */
  readonly retryAfterSeconds: number | null;
};

/** Gives back what was counted. Harmless when repeated. */
export type Release = () => void;

export type ClientLimiter = {
  /** Counts one more. @returns how to give it back, or why there is no more. */
  open(principal: Principal, what: Counted): Release | LimitRefusal;
  /** Takes one operation from the client's bucket. @returns null, or why not. */
  begin(principal: Principal): LimitRefusal | null;
  /**
   * Takes for an operation that has begun and costs more than an ordinary one as many as it stands for. That may leave the bucket below nothing: the next one begins when it is filled again, so that whoever asks for the
   * most that one operation may cost asks for it seldom.
   * @param cost as src/server/query-limits.ts counts it.
   */
  charge(principal: Principal, cost: number): void;
  /** For gauges and tests. */
  stats(): {
    readonly clients: number;
    readonly sockets: number;
    readonly subscriptions: number;
    readonly operations: number;
  };
};

type Client = {
  readonly limits: ClientLimits;
  readonly open: { [What in Counted]: number };
  tokens: number;
  /** When `tokens` was right, in microseconds. */
  filledAt: bigint;
};

/** Quiet clients that are remembered: beyond, those whose bucket is full are forgotten. Some 200 bytes each. */
const CLIENTS_KEPT = 10_000;

/** A page of a frontend with its lists. */
const ORDINARY_COST = 500;

export function createClientLimiter({ limits, clock }: { limits: ApiLimits; clock: Clock }): ClientLimiter {
  const clients = new Map<string, Client>();
  let sweptAt = 0;

  function clientOf(principal: Principal): Client {
    const isCustomer = isCustomerOf(principal);
    const key = clientKeyOf(principal);
    const known = clients.get(key);
    if (known !== undefined) return known;
    if (clients.size >= CLIENTS_KEPT + sweptAt) forgetQuiet();
    const own = isCustomer ? limits.customer : limits.service;
    const client: Client = {
      limits: own,
      open: { SOCKETS: 0, SUBSCRIPTIONS: 0, OPERATIONS: 0 },
      tokens: own.requestsBurst,
      filledAt: clock.nowMicros(),
    };
    clients.set(key, client);
    return client;
  }

  /** Forgetting a client whose bucket is full and who has nothing open changes nothing for it. */
  function forgetQuiet(): void {
    for (const [key, client] of clients) {
      fill(client, clock.nowMicros());
      if (client.tokens >= client.limits.requestsBurst && isIdle(client)) clients.delete(key);
    }
    // Those that are left are busy: the next sweep waits for as many again, so that a sweep is paid for by whom it looks at.
    sweptAt = clients.size;
  }

  return {
    open: (principal, what) => {
      const client = clientOf(principal);
      const { limit, code } = capOf(client.limits, what);
      if (client.open[what] >= limit) return { code, limit, retryAfterSeconds: null };
      client.open[what] += 1;
      let isReleased = false;
      return () => {
        if (isReleased) return;
        isReleased = true;
        client.open[what] -= 1;
      };
    },
    begin: (principal) => {
      const client = clientOf(principal);
      fill(client, clock.nowMicros());
      const { requestsPerSecond } = client.limits;
      if (client.tokens < 1) {
        const retryAfterSeconds = Math.max(1, Math.ceil((1 - client.tokens) / requestsPerSecond));
        return { code: 'RATE_LIMITED', limit: requestsPerSecond, retryAfterSeconds };
      }
      client.tokens -= 1;
      return null;
    },
    charge: (principal, cost) => {
      const more = Math.ceil(cost / ORDINARY_COST) - 1;
      if (more > 0) clientOf(principal).tokens -= more;
    },
    stats: () => {
      const sum = (what: Counted): number => {
        let total = 0;
        for (const { open } of clients.values()) total += open[what];
        return total;
      };
      return {
        clients: clients.size,
        sockets: sum('SOCKETS'),
        subscriptions: sum('SUBSCRIPTIONS'),
        operations: sum('OPERATIONS'),
      };
    },
  };
}

/** Who reads for one customer only, and so is one of very many. */
export function isCustomerOf({ reach }: Principal): boolean {
  return reach.kind === 'ACCOUNT';
}

/** A customer is one client however many tokens it has; whoever else, the client its credential belongs to. */
function clientKeyOf({ reach, client }: Principal): string {
  return JSON.stringify(reach.kind === 'ACCOUNT' ? ['customer', reach.network, reach.owner] : ['client', client]);
}

export function isRefusal(outcome: Release | LimitRefusal): outcome is LimitRefusal {
  return typeof outcome !== 'function';
}

function isIdle({ open }: Client): boolean {
  return open.SOCKETS === 0 && open.SUBSCRIPTIONS === 0 && open.OPERATIONS === 0;
}

function fill(client: Client, now: bigint): void {
  // A wall clock that was set back fills nothing, and starts anew from where it is.
  const seconds = now > client.filledAt ? Number(now - client.filledAt) / 1_000_000 : 0;
  const { requestsBurst, requestsPerSecond } = client.limits;
  client.tokens = Math.min(requestsBurst, client.tokens + seconds * requestsPerSecond);
  client.filledAt = now;
}

function capOf(limits: ClientLimits, what: Counted): { readonly limit: number; readonly code: LimitRefusal['code'] } {
  switch (what) {
    case 'SOCKETS':
      return { limit: limits.socketsMax, code: 'TOO_MANY_SOCKETS' };
    case 'SUBSCRIPTIONS':
      return { limit: limits.subscriptionsMax, code: 'TOO_MANY_SUBSCRIPTIONS' };
    case 'OPERATIONS':
      return { limit: limits.operationsMax, code: 'TOO_MANY_OPERATIONS' };
  }
}
