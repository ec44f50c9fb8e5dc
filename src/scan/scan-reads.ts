/** Scan, read by a strategy. */
import type { Reader } from './reader.ts';
import {
  createScanClient,
  type MemberTraffic,
  type ScanClient,
  type ScanContract,
  type ScanKind,
  type TransferPreapproval,
} from './scan-client.ts';

/** Throws as the registries do; asking again is always safe. */
export type ScanReads = ScanClient;

/** @param readerOf asked at each read; it may throw RegistryPermanentError. */
export function createScanReads(kind: ScanKind, readerOf: () => Reader): ScanReads {
  const read = async <T>(
    name: string,
    ask: (client: ScanClient, signal: AbortSignal) => Promise<T>,
    matter: (answer: T) => string,
    signal: AbortSignal | undefined,
  ): Promise<T> =>
    await readerOf().read(
      { name, matter, ask: async (http, one) => await ask(createScanClient(kind, http), one) },
      signal,
    );
  return {
    dsoParty: (signal) =>
      read(
        'DSO party',
        (client, one) => client.dsoParty(one),
        (party) => party,
        signal,
      ),
    dso: (signal) =>
      read(
        'DSO',
        (client, one) => client.dso(one),
        (dso) =>
          JSON.stringify([
            dso.dsoParty,
            dso.votingThreshold,
            matterOfContract(dso.amuletRules),
            matterOfContract(dso.dsoRules),
          ]),
        signal,
      ),
    amuletRules: (signal) => read('rules', (client, one) => client.amuletRules(one), matterOfContract, signal),
    miningRounds: (signal) =>
      read(
        'mining rounds',
        (client, one) => client.miningRounds(one),
        ({ open, issuing }) =>
          JSON.stringify([open.map(matterOfContract).sort(), issuing.map(matterOfContract).sort()]),
        signal,
      ),
    transferPreapproval: (party, signal) =>
      read('preapproval', (client, one) => client.transferPreapproval(party, one), matterOfPreapproval, signal),
    memberTraffic: (member, signal) =>
      read('traffic', (client, one) => client.memberTraffic(member, one), matterOfTraffic, signal),
  };
}

/** The contract decides what it holds; the payload is shown to us for convenience and compared all the same, where it is used. */
function matterOfContract({ contractId, templateId, createdEventBlob, synchronizerId }: ScanContract): string {
  return JSON.stringify([contractId, templateId, Buffer.from(createdEventBlob).toString('base64'), synchronizerId]);
}

/** What was bought stands still; what is used up grows between two answers, and honest Scans would never agree on it under load. A lie about it stops payments or lets the sequencer refuse them: no money moves. */
function matterOfTraffic(traffic: MemberTraffic | null): string {
  return traffic === null ? 'none' : String(traffic.totalLimit);
}

function matterOfPreapproval(found: TransferPreapproval | null): string {
  if (found === null) return 'none';
  const { dso, receiver, provider, validFrom, lastRenewedAt, expiresAt } = found;
  const times = [validFrom, lastRenewedAt, expiresAt].map(String);
  return JSON.stringify([matterOfContract(found.contract), dso, receiver, provider, ...times]);
}
