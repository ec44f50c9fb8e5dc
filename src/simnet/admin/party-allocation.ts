/**
 * External parties made over the Ledger API: a participant says what is to be signed, the key signs it, and each confirming participant is given the signed transactions. The party is
 * there when all of them were.
 *
 * The topology transactions are opaque to clients but for their hashes, which are the real ones; inside they are JSON here.
 * @see Canton 3.5 `HashPurpose.TopologyTransactionSignature` (11), `MultiTopologyTransaction` (55).
 */
import { createHash } from 'node:crypto';
import type {
  AllocateExternalPartyRequest,
  AllocateExternalPartyResponse,
  GenerateExternalPartyTopologyRequest,
  GenerateExternalPartyTopologyResponse,
} from '../../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { cantonError } from '../ledger/canton-error.ts';
import { fingerprintOf, type PartyKeys } from '../submission/party-keys.ts';

export type NewExternalParty = {
  readonly party: string;
  readonly hint: string;
  readonly publicKey: Uint8Array;
  /** Participant ids. */
  readonly hosts: readonly string[];
};

export type PartyAllocations = {
  /** @param participantId who is asked. */
  generate(participantId: string, request: GenerateExternalPartyTopologyRequest): GenerateExternalPartyTopologyResponse;
  allocate(participantId: string, request: AllocateExternalPartyRequest): AllocateExternalPartyResponse;
};

type Hosting = {
  readonly party: string;
  readonly hint: string;
  readonly publicKey: string;
  readonly confirming: readonly string[];
  readonly observing: readonly string[];
  readonly threshold: number;
};

const HINT = /^[A-Za-z0-9_-]{1,185}$/;

export function createPartyAllocations({
  synchronizerId,
  isParticipant,
  isKnown,
  keys,
  host,
}: {
  readonly synchronizerId: string;
  readonly isParticipant: (id: string) => boolean;
  readonly isKnown: (party: string) => boolean;
  readonly keys: Pick<PartyKeys, 'verifyTopology'>;
  /** Makes the party. */
  readonly host: (party: NewExternalParty) => void;
}): PartyAllocations {
  const agreed = new Map<string, Set<string>>();

  return {
    generate: (participantId, request) => {
      if (request.synchronizer !== synchronizerId) throw refused(`unknown synchronizer ${request.synchronizer}`);
      if (!HINT.test(request.partyHint)) throw refused(`not a party hint: ${request.partyHint}`);
      const publicKey = request.publicKey?.keyData ?? new Uint8Array();
      const fingerprint = fingerprintOrRefuse(publicKey);
      const others = [...request.otherConfirmingParticipantUids, ...request.observingParticipantUids];
      const unknown = others.find((id) => !isParticipant(id));
      if (unknown !== undefined) throw refused(`unknown participant ${unknown}`);
      const confirming = [
        ...(request.localParticipantObservationOnly ? [] : [participantId]),
        ...request.otherConfirmingParticipantUids,
      ];
      const threshold = request.confirmationThreshold === 0 ? confirming.length : request.confirmationThreshold;
      if (confirming.length === 0 || threshold > confirming.length) {
        throw refused(`a threshold of ${threshold} with ${confirming.length} confirming participants`);
      }
      const party = `${request.partyHint}::${fingerprint}`;
      const hosting: Hosting = {
        party,
        hint: request.partyHint,
        publicKey: Buffer.from(publicKey).toString('base64'),
        confirming,
        observing: [
          ...(request.localParticipantObservationOnly ? [participantId] : []),
          ...request.observingParticipantUids,
        ],
        threshold,
      };
      const transactions = [
        { mapping: 'namespaceDelegation', party },
        { mapping: 'partyToParticipant', ...hosting },
      ].map((mapping) => Buffer.from(JSON.stringify(mapping)));
      return {
        partyId: party,
        publicKeyFingerprint: fingerprint,
        topologyTransactions: transactions,
        multiHash: multiHash(transactions),
      };
    },
    allocate: (participantId, { onboardingTransactions, multiHashSignatures }) => {
      const transactions = onboardingTransactions.map(({ transaction }) => transaction);
      const hosting = hostingOf(transactions);
      if (isKnown(hosting.party)) {
        throw cantonError({
          code: 'PARTY_ALREADY_EXISTS',
          category: 'resourceExists',
          text: `Party already exists: ${hosting.party} is already allocated on this node`,
        });
      }
      const publicKey = Buffer.from(hosting.publicKey, 'base64');
      if (hosting.party !== `${hosting.hint}::${fingerprintOf(publicKey)}`) throw refused('the party is not the key’s');
      keys.verifyTopology(multiHash(transactions), multiHashSignatures, publicKey);
      const hosts = [...hosting.confirming, ...hosting.observing];
      if (!hosts.includes(participantId)) throw refused('this participant does not host the party');
      const consenting = agreed.get(hosting.party) ?? new Set<string>();
      agreed.set(hosting.party, consenting.add(participantId));
      if (hosts.every((id) => consenting.has(id))) host({ ...hosting, publicKey, hosts });
      return { partyId: hosting.party };
    },
  };
}

function fingerprintOrRefuse(publicKey: Uint8Array): string {
  try {
    return fingerprintOf(publicKey);
  } catch {
    throw refused('not a signing key');
  }
}

function hostingOf(transactions: readonly Uint8Array[]): Hosting {
  for (const transaction of transactions) {
    try {
      // Ours, and bound by the signature that is verified next.
      const parsed = JSON.parse(Buffer.from(transaction).toString('utf8')) as Hosting & { mapping: string };
      if (parsed.mapping === 'partyToParticipant') return parsed;
    } catch {
      throw refused('a transaction cannot be read');
    }
  }
  throw refused('no hosting among the transactions');
}

function multiHash(transactions: readonly Uint8Array[]): Buffer {
  const hashes = transactions.map((transaction) => hashed(11, transaction)).sort(Buffer.compare);
  return hashed(55, int32(hashes.length), ...hashes.flatMap((hash) => [int32(hash.length), hash]));
}

/** A multihash: the algorithm, the length, the digest. */
function hashed(purpose: number, ...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256').update(int32(purpose));
  for (const part of parts) hash.update(part);
  return Buffer.concat([Buffer.from([0x12, 0x20]), hash.digest()]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function refused(text: string): Error {
  return cantonError({
    code: 'INVALID_ARGUMENT',
    category: 'invalidRequest',
    text: `The submitted request has invalid arguments: ${text}`,
  });
}
