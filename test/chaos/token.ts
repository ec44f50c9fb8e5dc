/** The file with the bearer token of the Ledger API, as somebody else keeps it fresh. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChaosNetwork } from './network.ts';

export type ChaosToken = {
  readonly file: string;
  /** Another one, that lasts. */
  renew(): Promise<void>;
  /** One that has ended; and whoever uses the one before is told that it has ended as well. */
  expire(): Promise<void>;
  stop(): Promise<void>;
};

const LIFETIME_MS = 24 * 3_600_000;

/** From then on the network lets nobody in without. */
export async function startToken(network: ChaosNetwork): Promise<ChaosToken> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-token-'));
  const file = join(folder, 'token');
  const write = async (lifetimeMs: number): Promise<void> => {
    await writeFile(`${file}.new`, await network.issueToken(lifetimeMs), { mode: 0o600 });
    await rename(`${file}.new`, file);
  };
  await network.giveRights();
  await write(LIFETIME_MS);
  return {
    file,
    renew: async () => await write(LIFETIME_MS),
    expire: async () => {
      await write(-1_000);
      await network.giveRights();
    },
    stop: async () => await rm(folder, { recursive: true }),
  };
}
