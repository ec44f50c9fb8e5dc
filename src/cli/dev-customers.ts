/** The customers of `dev`: who they are, which memos the exchange knows of them, and that they keep depositing. */
import type { Clock } from '../env/clock.ts';
import type { Random } from '../env/random.ts';
import type { Network } from '../simnet/network.ts';
import { TREASURY } from '../simnet/network.ts';

export type DevCustomer = {
  /** Of the simulated network. */
  readonly party: string;
  readonly memo: string;
  /** At the exchange; null: it has never heard of the memo. */
  readonly account: string | null;
};

export const DEV_CUSTOMERS: readonly DevCustomer[] = [
  { party: 'alice', memo: 'alice-4711', account: 'alice' },
  { party: 'bob', memo: 'bob-0815', account: 'bob' },
  { party: 'carol', memo: 'carol-2024', account: 'carol' },
  // A typing error and a stranger: what they send waits for a person to decide.
  { party: 'carol', memo: 'carol-2042', account: null },
  { party: 'dave', memo: 'for my account', account: null },
];

const SUPPLY = '1000000.0';
const PAUSE_MS_MIN = 400;
const PAUSE_MS_MAX = 2_000;
const KNOWN_SHARE = 0.85; // Of the deposits: most memos are right.

/** Deposits until `signal` aborts. */
export async function keepDepositing(
  network: Network,
  { clock, random, signal }: { readonly clock: Clock; readonly random: Random; readonly signal: AbortSignal },
): Promise<void> {
  const instruments = network.tokens.map(({ name }) => name);
  for (const instrument of instruments) {
    for (const owner of new Set(DEV_CUSTOMERS.map(({ party }) => party)))
      network.tap({ instrument, owner, amount: SUPPLY });
  }
  while (!signal.aborted) {
    const isKnown = random.next() < KNOWN_SHARE;
    const { party, memo } = pick(DEV_CUSTOMERS.filter(({ account }) => (account !== null) === isKnown));
    const amount = `${1 + Math.floor(random.next() * 500)}.${Math.floor(random.next() * 100)}`;
    network.transfer({ instrument: pick(instruments), sender: party, receiver: TREASURY, amount, memo });
    await clock.sleep(PAUSE_MS_MIN + random.next() * (PAUSE_MS_MAX - PAUSE_MS_MIN), signal);
  }

  function pick<T>(items: readonly T[]): T {
    return items[Math.floor(random.next() * items.length)] as T;
  }
}
