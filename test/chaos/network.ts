/** Talks to the simulated network in its own process. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Disturbance } from '../../src/simnet/ledger/disturbances.ts';
import type { SubmissionFaultSettings } from '../../src/simnet/submission/submission-faults.ts';
import type { NetworkReady, Truth } from './network-messages.ts';

export type ChaosNetwork = NetworkReady & {
  /** @param offers share of them that are offers to accept. */
  deposit(count: number, offers: number): Promise<void>;
  /** Makes holdings for the treasury. */
  fund(count: number, amount: string): Promise<void>;
  newest(): Promise<{ readonly updates: number; readonly newestUpdateId: string | null }>;
  truth(): Promise<Truth>;
  submissionFaults(settings: SubmissionFaultSettings): Promise<void>;
  disturb(disturbance: Disturbance, count: number): Promise<void>;
  /** `stall`: no call is answered, no stream says anything; `endStreams`: they end. */
  misbehave(how: 'stall' | 'endStreams'): Promise<void>;
  /** Streams fall silent, and nothing else, until somebody has given one up. @returns after how many milliseconds. */
  silence(): Promise<number>;
  /** Ends all misbehaviour. */
  calm(): Promise<void>;
  restore(updatesBack: number): Promise<void>;
  /** From now on calls need a token. Done again, it ends the streams. */
  giveRights(): Promise<void>;
  /** @returns a token of Sluice's user. */
  issueToken(lifetimeMs: number): Promise<string>;
  /** @param key SubjectPublicKeyInfo, base64. @returns its fingerprint. */
  registerKey(key: string): Promise<string>;
  burnHidden(): Promise<void>;
  stop(): Promise<void>;
};

/** @param options.publicKeyDer of the treasury's first key, SubjectPublicKeyInfo in base64. */
export async function startNetwork(options: {
  readonly seed: number;
  readonly publicKeyDer: string;
}): Promise<ChaosNetwork> {
  const child = fork(`${import.meta.dirname}/network-process.ts`, [JSON.stringify(options)]);
  const exited = once(child, 'exit');
  const ready = await Promise.race([
    once(child, 'message').then(([message]: NetworkReady[]) => message),
    exited.then(() => undefined),
  ]);
  if (ready === undefined) throw new Error('The simulated network ended before it was ready.');
  const waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>();
  let asked = 0;
  child.on('message', ({ id, answer, error }: { id: number; answer?: unknown; error?: string }) => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) waiter?.resolve(answer);
    else waiter?.reject(new Error(`The simulated network: ${error}`));
  });
  child.on('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('The simulated network has ended.'));
  });
  const ask = async <T>(operation: string, parameters: unknown = {}): Promise<T> =>
    await new Promise<T>((resolve, reject) => {
      asked += 1;
      const id = asked;
      waiting.set(id, { resolve: (answer) => resolve(answer as T), reject });
      child.send(JSON.stringify({ id, operation, options: parameters }));
    });
  return {
    ...ready,
    deposit: async (count, offers) => await ask('deposit', { count, offers }),
    fund: async (count, amount) => await ask('fund', { count, amount }),
    newest: async () => await ask('newest'),
    truth: async () => await ask('truth'),
    submissionFaults: async (settings) => await ask('submissionFaults', settings),
    disturb: async (disturbance, count) => await ask('disturb', { disturbance, count }),
    misbehave: async (how) => await ask(how),
    silence: async () => await ask('silence'),
    calm: async () => await ask('calm'),
    restore: async (updatesBack) => await ask('restore', { updatesBack }),
    giveRights: async () => await ask('giveRights'),
    issueToken: async (lifetimeMs) => await ask('issueToken', { lifetimeMs }),
    registerKey: async (key) => await ask('registerKey', { key }),
    burnHidden: async () => await ask('burnHidden'),
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
