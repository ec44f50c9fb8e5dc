/**
 * Makes a treasury party: external, its key at the signer, hosted by one participant or by several of which a threshold confirms. Every step looks first at what is there, so it can be
 * repeated after any failure: party and transactions follow from the key, the hint and the hosts alone.
 */
import type { OnboardingSigner } from '../custody/onboarding-signer.ts';
import { signingAlgorithmSpec } from '../custody/signing-key.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import { PartyManagementServiceService } from '../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { CryptoKeyFormat, SignatureFormat, SigningKeySpec } from '../gen/com/daml/ledger/api/v2/crypto.ts';
import type { Channel } from '../ledger/channel.ts';

export type Host = { readonly url: string; readonly call: Channel['call'] };

export type CreatedParty = {
  readonly party: string;
  /** Ids of the participants that host it, in the order of the hosts. */
  readonly participants: readonly string[];
  /** False: it was there already, on all of them. */
  readonly isNew: boolean;
};

/**
 * @param options.hosts each a participant of its own; the first one writes the transactions.
 * @param options.threshold how many of them have to confirm a transaction.
 * @throws PermanentError PARTY_HOSTS_INVALID, PARTY_HOSTED_OTHERWISE, PARTY_NOT_OURS, ADMINISTRATOR_NEEDED; CustodyRefusal; RetryableError: ask again.
 */
export async function createParty(options: {
  readonly hosts: readonly Host[];
  readonly hint: string;
  readonly threshold: number;
  readonly synchronizerId: string;
  readonly signer: OnboardingSigner;
}): Promise<CreatedParty> {
  const { hosts, hint, threshold, synchronizerId, signer } = options;
  const [first, ...others] = hosts;
  if (first === undefined || threshold < 1 || threshold > hosts.length) {
    throw new PermanentError('PARTY_HOSTS_INVALID', 'Expected one host or more, and a threshold within their number.');
  }
  const participants: string[] = [];
  for (const { call } of hosts) {
    const { participantId } = await administering(call(PartyManagementServiceService.getParticipantId, {}));
    if (participants.includes(participantId)) {
      throw new PermanentError('PARTY_HOSTS_INVALID', 'Two addresses lead to one participant.', { participantId });
    }
    participants.push(participantId);
  }
  const party = `${hint}::${signer.key.fingerprint}`;
  const isThere = await Promise.all(hosts.map(async (host) => await isHostedBy(host, party)));
  if (isThere.every((is) => is)) return { party, participants, isNew: false };
  if (isThere.some((is) => is)) {
    throw new PermanentError(
      'PARTY_HOSTED_OTHERWISE',
      'Some of the participants host the party and others do not. Confirming hosts cannot be added once it is in use.',
      { party, participants: participants.filter((_id, index) => isThere[index]) },
    );
  }

  const spki = signer.key.publicKey.export({ type: 'spki', format: 'der' });
  const topology = await administering(
    first.call(PartyManagementServiceService.generateExternalPartyTopology, {
      synchronizer: synchronizerId,
      partyHint: hint,
      publicKey: {
        format: CryptoKeyFormat.CRYPTO_KEY_FORMAT_DER_X509_SUBJECT_PUBLIC_KEY_INFO,
        keyData: new Uint8Array(spki),
        keySpec: SigningKeySpec.SIGNING_KEY_SPEC_EC_CURVE25519,
      },
      localParticipantObservationOnly: false,
      otherConfirmingParticipantUids: participants.slice(1),
      confirmationThreshold: threshold,
      observingParticipantUids: [],
    }),
  );
  if (topology.partyId !== party || topology.publicKeyFingerprint !== signer.key.fingerprint) {
    throw new PermanentError('PARTY_NOT_OURS', 'The participant would make another party.', { made: topology.partyId });
  }
  const { topologyTransactions, multiHash } = topology;
  const signed = signer.signTopology(topologyTransactions, multiHash);
  const signature = {
    format: SignatureFormat.SIGNATURE_FORMAT_CONCAT,
    signature: signed.signature,
    signedBy: signed.signedBy,
    signingAlgorithmSpec: signingAlgorithmSpec(signed.algorithm),
  };
  for (const { call } of [first, ...others]) {
    await administering(
      call(PartyManagementServiceService.allocateExternalParty, {
        synchronizer: synchronizerId,
        onboardingTransactions: topologyTransactions.map((transaction) => ({ transaction, signatures: [] })),
        multiHashSignatures: [signature],
        identityProviderId: '',
        waitForAllocation: undefined,
        userId: '',
      }),
    );
  }
  return { party, participants, isNew: true };
}

async function isHostedBy({ call }: Host, party: string): Promise<boolean> {
  const request = { parties: [party], identityProviderId: '' };
  const { partyDetails } = await administering(call(PartyManagementServiceService.getParties, request));
  return partyDetails.some((details) => details.party === party && details.isLocal);
}

/** @throws PermanentError ADMINISTRATOR_NEEDED instead of a refusal for want of rights: waiting does not help against that. */
async function administering<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const isForbidden = error instanceof RetryableError && error.facts['grpcStatus'] === 'PERMISSION_DENIED';
    if (!isForbidden) throw error;
    throw new PermanentError(
      'ADMINISTRATOR_NEEDED',
      'Making a party needs the token of an administrator of the participant, in SLUICE_LEDGER_TOKEN for this one command.',
      {},
      { cause: error },
    );
  }
}
