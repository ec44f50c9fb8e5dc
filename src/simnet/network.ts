/**
 * The simulated network as one object: participants, parties, tokens, and what can be done with them. Same seed, same clock, same calls:
 * same ids and bytes.
 */
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { createSeededRandom, type Random } from '../env/random.ts';
import { type AccessControls, createUsers } from './access/users.ts';
import { createPartyAllocations } from './admin/party-allocation.ts';
import { decimalOfUnits, unitsOfDecimal } from './daml/decimal.ts';
import { recordField } from './daml/value.ts';
import { createContractHomes } from './ledger/contract-homes.ts';
import { partyId, sha256Hex } from './ledger/ids.ts';
import { createLedger, type Ledger } from './ledger/ledger.ts';
import { createPackageDirectory } from './ledger/package-directory.ts';
import { createParticipant, type Participant } from './ledger/participant.ts';
import { createReassignments, type Reassignments } from './ledger/reassignments.ts';
import { createSynchronizer, type NamedSynchronizer, type SynchronizerControls } from './ledger/synchronizer.ts';
import type { CheckpointCadence } from './ledger/update-stream.ts';
import { createVetting, type VettingControls } from './ledger/vetting.ts';
import { holdingsOf } from './network-commands.ts';
import { createOperations } from './network-operations.ts';
import type { Operations } from './operation-requests.ts';
import { createPartyKeys, fingerprintOf } from './submission/party-keys.ts';
import type { Replan } from './submission/prepare-lies.ts';
import { createSequencing, type SequencingDelays } from './submission/sequencing.ts';
import type { SubmissionFaultSettings } from './submission/submission-faults.ts';
import type { TrafficMeter } from './submission/traffic.ts';
import { createAmulet } from './tokens/amulet.ts';
import { AMULET_PACKAGE_ID, type Generation } from './tokens/amulet-contracts.ts';
import { EVENT_LOG_PACKAGES } from './tokens/event-log.ts';
import { factoryTransferArgument, type InstrumentId, STANDARD_PACKAGES, transferOf } from './tokens/standard.ts';
import { STANDARD_V2_PACKAGES } from './tokens/standard-v2.ts';
import type { Token } from './tokens/token.ts';
import { createUtilityToken } from './tokens/utility-registry.ts';
import { createVaultToken } from './tokens/vault-desk.ts';
import { WRAPPER_PACKAGES } from './tokens/wrappers.ts';
import { createTopology, type ParticipantSpec, type Topology } from './topology.ts';

export type PartySpec = {
  readonly hint: string;
  /** Names of the participants that host it. */
  readonly on: readonly string[];
  /** Makes it an external party: its id ends in the key's fingerprint. 32 raw bytes (Ed25519) or a DER SubjectPublicKeyInfo. */
  readonly publicKey?: Uint8Array;
};

/** Parties by hint or id. */
export type UserSpec = {
  readonly id: string;
  readonly actAs?: readonly string[];
  readonly executeAs?: readonly string[];
  readonly readAs?: readonly string[];
  readonly readAsAnyParty?: boolean;
  readonly isAdmin?: boolean;
};

export type NetworkOptions = {
  /** Party ids and the synchronizer's id follow from it alone. */
  readonly seed: string;
  readonly clock: Clock;
  /** Everything else that is random: transaction ids, offsets, choices between package generations. */
  readonly random: Random;
  readonly participants?: readonly ParticipantSpec[];
  /** Beside the default ones. */
  readonly parties?: readonly PartySpec[];
  readonly checkpoints?: CheckpointCadence;
  /** Instruments that the treasury takes without acceptance. */
  readonly treasuryPreapprovals?: readonly string[];
  /** Updates that each participant keeps before it prunes; all when left out. */
  readonly historyUpdatesMax?: number;
  /** Decimal; burned by transfers of the older Canton Coin package. */
  readonly amuletCreateFee?: string;
  /** Whether nodes know the packages of the token standard's second version; they do when left out. */
  readonly hasStandardV2?: boolean;
  /** How long submissions travel and wait for their verdict; no time when left out. */
  readonly delays?: SequencingDelays;
  /** Longest time in which an accepted command id is refused; 30 s as on Canton Network when left out, undefined: never. */
  readonly deduplicationMs?: number | undefined;
  /** Calls need a token of one of these users. Left out: nobody is asked who he is. */
  readonly users?: readonly UserSpec[];
  /** Of every participant, from the start. */
  readonly submissionFaults?: SubmissionFaultSettings;
  /** Of every participant, from the start; not metered when left out. */
  readonly traffic?: TrafficMeter;
};

export type Network = Operations &
  Topology &
  Reassignments & {
    readonly synchronizerId: string;
    /** Its clock, and its upgrades. */
    readonly synchronizer: SynchronizerControls;
    /** A further synchronizer; every participant is connected to it at once. Nothing happens there by itself. */
    addSynchronizer(name: string): SynchronizerControls & { readonly synchronizerId: string };
    /** The first one is called `global`. */
    synchronizerNamed(name: string): SynchronizerControls & { readonly synchronizerId: string };
    /** Those that take part now. */
    readonly participants: readonly Participant[];
    readonly ledger: Ledger;
    /** Which packages participants have vetted: all, until told otherwise. */
    readonly vetting: VettingControls;
    readonly tokens: readonly Token[];
    participant(name: string): Participant;
    /** @returns the full id of a party given by hint or by id. @throws PermanentError for one that does not exist. */
    party(nameOrId: string): string;
    /** Hint → full id. */
    parties(): ReadonlyMap<string, string>;
    allocateParty(spec: PartySpec): string;
    /**
     * Lets `party` (hint or id) be acted for by signatures of this key, from now on.
     * @param publicKey 32 raw bytes (Ed25519) or a DER SubjectPublicKeyInfo. @returns the fingerprint that signatures name.
     */
    registerKey(party: string, publicKey: Uint8Array): string;
    revokeKey(party: string, fingerprint: string): void;
    setDelays(delays: SequencingDelays): void;
    /** A logical synchronizer upgrade at once: prepared transactions of before cannot be executed any more. */
    upgradeSynchronizer(): void;
    /** Every participant is given the packages of the token standard's second version while it runs. */
    uploadStandardV2(): void;
    /** The next update gets the record time of the one before it. */
    shareRecordTime(): void;
    /** Loses whatever is under way. Reading goes on. */
    close(): void;
    /** Tokens and users of the Ledger APIs. */
    readonly access: Omit<AccessControls, 'setUser'> & { setUser(user: UserSpec): void };
    instrument(name: string): InstrumentId;
    /** Sum of the party's holdings, locked ones included; decimal. */
    balance(query: { readonly instrument: string; readonly owner: string }): string;
  };

export const TREASURY = 'treasury';
export const DSO = 'DSO';

const DEFAULT_PARTICIPANTS: readonly ParticipantSpec[] = [
  { name: 'participant1', firstOffset: 0n, offsetStepMax: 3, nodeIdGap: 0 },
  // Starts elsewhere, leaves other gaps, numbers nodes its own way: what must not be compared between nodes differs.
  { name: 'participant2', firstOffset: 1_000n, offsetStepMax: 7, nodeIdGap: 1 },
];

const FIRST_SYNCHRONIZER = 'global';
const DEDUPLICATION_MS = 30_000; // `max-deduplication-duration` of the participant image of Canton Network.
const DEFAULT_CHECKPOINTS: CheckpointCadence = { busyMs: 15_000, idleMs: 60_000 }; // Canton's.

export function createNetwork(options: NetworkOptions): Network {
  const { seed, clock, random } = options;
  const synchronizerId = partyId(seed, 'global-domain');
  const synchronizer = { name: FIRST_SYNCHRONIZER, ...createSynchronizer({ synchronizerId, clock }) };
  const synchronizers: NamedSynchronizer[] = [synchronizer];
  const synchronizerOf = (nameOrId: string): NamedSynchronizer => {
    const found = synchronizers.find((each) => each.name === nameOrId || each.synchronizerId === nameOrId);
    if (found !== undefined) return found;
    throw new PermanentError('SIMNET_UNKNOWN_SYNCHRONIZER', 'The network has no such synchronizer.', { nameOrId });
  };
  const addSynchronizer = (name: string): NamedSynchronizer => {
    const added = { name, ...createSynchronizer({ synchronizerId: partyId(seed, name), clock }) };
    synchronizers.push(added);
    return added;
  };
  const packages = createPackageDirectory();
  const vetting = createVetting({
    packages,
    hostsOf: (party) => participants.filter(({ isHosted }) => isHosted(party)).map(({ name }) => name),
  });
  const keys = createPartyKeys();
  const allocations = createPartyAllocations({
    synchronizerId,
    isParticipant: (id) => participants.some(({ participantId }) => participantId === id),
    isKnown: (id) => [...parties.values()].includes(id),
    keys,
    host: ({ party: id, hint, publicKey, hosts }) => {
      // A hint says nothing about who it is: the first one keeps it.
      parties.set(parties.has(hint) ? id : hint, id);
      keys.register(id, publicKey);
      for (const each of participants) if (hosts.includes(each.participantId)) each.host(id);
    },
  });
  const users = createUsers({ clock, random: createSeededRandom(seedOf(seed, 'access')) });
  const sequencing = createSequencing({ clock, ...options.delays });
  const deduplicationMs = 'deduplicationMs' in options ? options.deduplicationMs : DEDUPLICATION_MS;
  const parties = new Map<string, string>();
  const create = (spec: ParticipantSpec): Participant => {
    const created = createParticipant({
      name: spec.name,
      participantId: partyId(seed, spec.name),
      random: createSeededRandom(seedOf(seed, spec.name)),
      clock,
      synchronizer,
      synchronizers: () => synchronizers,
      packages,
      vetting,
      cadence: options.checkpoints ?? DEFAULT_CHECKPOINTS,
      knownParties: () => [...parties.values()].sort(),
      firstOffset: spec.firstOffset ?? 0n,
      offsetStepMax: spec.offsetStepMax ?? 3,
      nodeIdGap: spec.nodeIdGap ?? 0,
      updatesMax: options.historyUpdatesMax,
      ledger: () => ledger,
      keys,
      sequencing,
      replan: (argument, change) => replan(argument, change),
      submissionRandom: createSeededRandom(seedOf(seed, spec.name, 'submission')),
      faultRandom: createSeededRandom(seedOf(seed, spec.name, 'faults')),
      deduplicationMs,
      users,
      allocations,
    });
    everCreated.set(spec.name, created);
    return created;
  };
  const everCreated = new Map<string, Participant>();
  const participants = (options.participants ?? DEFAULT_PARTICIPANTS).map(create);
  const participant = (name: string): Participant => {
    const found = everCreated.get(name);
    if (found !== undefined) return found;
    throw new PermanentError('SIMNET_UNKNOWN_PARTICIPANT', 'The network has no such participant.', { name });
  };
  const party = (nameOrId: string): string => {
    const id = parties.get(nameOrId);
    if (id !== undefined) return id;
    if ([...parties.values()].includes(nameOrId)) return nameOrId;
    throw new PermanentError('SIMNET_UNKNOWN_PARTY', 'The network has no such party.', { party: nameOrId });
  };
  const allocateParty = ({ hint, on, publicKey }: PartySpec): string => {
    const id = publicKey === undefined ? partyId(seed, hint) : `${hint}::${fingerprintOf(publicKey)}`;
    parties.set(hint, id);
    if (publicKey !== undefined) keys.register(id, publicKey);
    for (const name of on) participant(name).host(id);
    return id;
  };

  const first = participants.slice(0, 1).map(({ name }) => name);
  const dso = allocateParty({ hint: DSO, on: first });
  const validator = allocateParty({ hint: 'validator', on: first });
  const registrar = allocateParty({ hint: 'usd-registrar', on: first });
  const issuer = allocateParty({ hint: 'note-issuer', on: first });
  allocateParty({ hint: TREASURY, on: participants.map(({ name }) => name) });
  for (const hint of ['alice', 'bob', 'carol', 'dave']) allocateParty({ hint, on: first });
  for (const spec of options.parties ?? []) allocateParty(spec);

  const homes = createContractHomes(synchronizerId);
  const ledger = createLedger({ clock, random, homes, synchronizer: synchronizerOf, packages, participants });
  const reassignments = createReassignments({
    contracts: ledger.contracts,
    homes,
    participants,
    synchronizer: synchronizerOf,
    party,
    publish: ledger.publish,
  });
  const topology = createTopology({ participants, create, participant, party, ledger: () => ledger, synchronizerId });
  const tokens: readonly Token[] = [
    createAmulet({ dso, provider: validator, createFeeUnits: unitsOfDecimal(options.amuletCreateFee ?? '0') }),
    createUtilityToken({ name: 'usd', instrumentId: { admin: registrar, id: 'USDX' }, operator: validator }),
    createVaultToken({ name: 'note', instrumentId: { admin: issuer, id: 'NOTE-A' } }),
  ];
  packages.add([
    ...STANDARD_PACKAGES,
    ...EVENT_LOG_PACKAGES,
    ...(options.hasStandardV2 === false ? [] : STANDARD_V2_PACKAGES),
    ...WRAPPER_PACKAGES,
    ...tokens.flatMap((token) => token.packages),
  ]);
  const token = (name: string): Token => {
    const found = tokens.find((candidate) => candidate.name === name);
    if (found !== undefined) return found;
    throw new PermanentError('SIMNET_UNKNOWN_INSTRUMENT', 'The network has no such instrument.', { instrument: name });
  };

  const tokenOf = ({ admin, id }: InstrumentId): Token => {
    const found = tokens.find(({ instrumentId }) => instrumentId.admin === admin && instrumentId.id === id);
    if (found !== undefined) return found;
    throw new PermanentError('SIMNET_UNKNOWN_INSTRUMENT', 'The network has no such instrument.', { admin, id });
  };
  const replan: Replan = (argument, { receiver, amount }) => {
    const asked = transferOf(recordField(argument, 'transfer'));
    const transfer = {
      ...asked,
      ...(receiver === undefined ? {} : { receiver: party(receiver) }),
      ...(amount === undefined ? {} : { amountUnits: unitsOfDecimal(amount) }),
    };
    const { context } = tokenOf(asked.instrumentId).planTransfer(transfer, { generation: 'new', asOffer: false });
    return factoryTransferArgument(asked.instrumentId.admin, transfer, context);
  };

  const { tokenLedger, ...operations } = createOperations({
    ledger,
    clock,
    random,
    token,
    tokenOf,
    party,
    participant,
    hostOf: (id) => participants.find(({ isHosted }) => isHosted(id)) ?? participant(first[0] ?? ''),
    preferredPackages: (generation: Generation) => new Set([AMULET_PACKAGE_ID[generation]]),
    proxyProvider: validator,
  });
  for (const { install } of tokens) install(tokenLedger);
  for (const instrument of options.treasuryPreapprovals ?? tokens.map(({ name }) => name)) {
    operations.preapprove({ instrument, receiver: TREASURY, generation: 'old' });
  }

  const setUser = ({ id, actAs, executeAs, readAs, ...rights }: UserSpec): void =>
    users.setUser({
      id,
      rights: {
        ...rights,
        actAs: (actAs ?? []).map(party),
        executeAs: (executeAs ?? []).map(party),
        readAs: (readAs ?? []).map(party),
      },
    });
  for (const user of options.users ?? []) setUser(user);
  users.demandTokens(options.users !== undefined);
  for (const { faults } of participants) faults.submissions.set(options.submissionFaults ?? {});
  if (options.traffic !== undefined) for (const { traffic } of participants) traffic.meter(options.traffic);

  return {
    ...operations,
    ...topology,
    ...reassignments,
    addSynchronizer,
    synchronizerNamed: synchronizerOf,
    synchronizerId,
    synchronizer,
    participants,
    ledger,
    vetting,
    tokens,
    participant,
    party,
    parties: () => parties,
    allocateParty,
    registerKey: (nameOrId, publicKey) => keys.register(party(nameOrId), publicKey),
    revokeKey: (nameOrId, fingerprint) => keys.revoke(party(nameOrId), fingerprint),
    setDelays: sequencing.setDelays,
    upgradeSynchronizer: () => synchronizer.upgrade(),
    uploadStandardV2: () => packages.add(STANDARD_V2_PACKAGES),
    shareRecordTime: synchronizer.shareNext,
    close: () => {
      sequencing.close();
      for (const { close } of everCreated.values()) close();
    },
    access: { ...users, setUser },
    instrument: (name) => token(name).instrumentId,
    balance: ({ instrument, owner }) => {
      const holdings = holdingsOf(ledger.contracts, party(owner), token(instrument).instrumentId);
      return decimalOfUnits(holdings.reduce((sum, { amountUnits }) => sum + amountUnits, 0n));
    },
  };
}

/** @returns a seed for randomness of its own, whatever else is drawn. */
function seedOf(...parts: readonly string[]): number {
  return Number.parseInt(sha256Hex(...parts).slice(0, 8), 16);
}
