/** Participants that come, go and lose what they had: further hosts of a party, migrations to a new participant, forks of the network. */
import { PermanentError } from '../env/errors.ts';
import { stakeholdersOf } from './daml/contract.ts';
import { importUpdates } from './ledger/imports.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { Participant } from './ledger/participant.ts';

export type ParticipantSpec = {
  readonly name: string;
  /** Its ledger end before the first update. */
  readonly firstOffset?: bigint;
  /** Largest distance between neighbouring offsets. */
  readonly offsetStepMax?: number;
  /** Node ids left out between neighbours; 0 keeps the submitter's numbers where all is seen. */
  readonly nodeIdGap?: number;
};

export type ImportRequest = {
  /** Hints or ids; hosted by the participant from then on. */
  readonly parties: readonly string[];
  readonly to: string;
  /** 0001-01-01T00:00:00Z when left out. */
  readonly recordTimeMicros?: bigint;
  readonly contractsPerUpdate?: number;
};

export type MigrationRequest = {
  readonly from: string;
  readonly to: ParticipantSpec;
  readonly contractsPerUpdate?: number;
};

export type Topology = {
  /** A participant without history or parties. It has no address of its own: let an endpoint lead to it. */
  addParticipant(spec: ParticipantSpec): Participant;
  /**
   * Hosts parties on a further participant, which learns their active contracts by import and their history never.
   * @returns how many contracts came, in how many updates.
   */
  importParties(request: ImportRequest): { readonly contracts: number; readonly updates: number };
  /**
   * A hard migration: a participant with another id and offsets from 0 takes over all parties of `from`, by imports. The former one leaves
   * the network: its streams end, it answers from what it had.
   */
  migrate(request: MigrationRequest): Participant;
  /**
   * The network goes on from an earlier point: its newest transactions never happened, on no participant. Streams end.
   * @returns the ids of what is lost, newest first.
   */
  fork(transactions: number): readonly string[];
};

export function createTopology({
  participants,
  create,
  participant,
  party,
  ledger,
  synchronizerId,
}: {
  /** Those that take part; changed in place. */
  readonly participants: Participant[];
  readonly create: (spec: ParticipantSpec) => Participant;
  readonly participant: (name: string) => Participant;
  readonly party: (nameOrId: string) => string;
  readonly ledger: () => Ledger;
  readonly synchronizerId: string;
}): Topology {
  let imports = 0;

  const addParticipant = (spec: ParticipantSpec): Participant => {
    if (participants.some(({ name }) => name === spec.name)) {
      throw new PermanentError('SIMNET_PARTICIPANT_EXISTS', 'The network has a participant of that name.', {
        name: spec.name,
      });
    }
    const added = create(spec);
    participants.push(added);
    return added;
  };

  const importParties: Topology['importParties'] = ({ parties, to, recordTimeMicros, contractsPerUpdate }) => {
    const target = participant(to);
    const ids = new Set(parties.map(party));
    const isKnown = (contractId: string): boolean => target.knows(contractId);
    for (const id of ids) target.host(id);
    const contracts = [...ledger().contracts.active()].filter(
      (contract) => stakeholdersOf(contract).some((id) => ids.has(id)) && !isKnown(contract.contractId),
    );
    imports += 1;
    const updates = importUpdates({
      seed: `${target.participantId}:${imports}`,
      synchronizerId,
      contracts,
      ...(recordTimeMicros === undefined ? {} : { recordTimeMicros }),
      ...(contractsPerUpdate === undefined ? {} : { contractsPerUpdate }),
    });
    for (const update of updates) ledger().publish(update, [target]);
    return { contracts: contracts.length, updates: updates.length };
  };

  return {
    addParticipant,
    importParties,
    migrate: ({ from, to, contractsPerUpdate }) => {
      const former = participant(from);
      const added = addParticipant(to);
      importParties({
        parties: former.hostedParties(),
        to: to.name,
        ...(contractsPerUpdate === undefined ? {} : { contractsPerUpdate }),
      });
      const index = participants.indexOf(former);
      if (index >= 0) participants.splice(index, 1);
      former.leave();
      // Whoever asked the network for a host of a party finds the new one where the former one stood.
      participants.splice(participants.indexOf(added), 1);
      participants.splice(Math.max(index, 0), 0, added);
      return added;
    },
    fork: (transactions) => {
      const lost = ledger().fork(transactions);
      for (const each of participants) {
        // The oldest that it has: what is lost comes newest first.
        const first = lost.flatMap((updateId) => each.offsetOf(updateId) ?? []).at(-1);
        if (first !== undefined) each.restore({ to: first - 1n, losesTail: true });
      }
      return lost;
    },
  };
}
