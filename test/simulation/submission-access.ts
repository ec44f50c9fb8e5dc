/**
 * The participant's submissions as a process reaches them: the project's own client down to the bytes, and everything that goes wrong with prepare and execute. What is executed is looked at here, where
 * it arrives: nothing that is not written down, and nothing with a signature that is none.
 */
import type pg from 'pg';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import {
  ExecuteSubmissionRequest,
  ExecuteSubmissionResponse,
  PreparedTransaction,
  PrepareSubmissionRequest,
  PrepareSubmissionResponse,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { UnaryMethod } from '../../src/ledger/channel.ts';
import { type Submitter, submitterOver } from '../../src/ledger/submission-client.ts';
import { cantonError, isCantonError, type Refusal } from '../../src/simnet/ledger/canton-error.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import type { Network } from '../../src/simnet/network.ts';
import type { PrepareLie } from '../../src/simnet/submission/submission-faults.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { LastMoment } from './last-moment.ts';
import type { Marks } from './marks.ts';
import { unavailable } from './outside-calls.ts';
import type { Life } from './process.ts';
import { must } from './violation.ts';

export type SubmissionAccessOptions = {
  readonly network: Network;
  readonly participant: () => Participant;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly lastMoment: LastMoment;
  readonly observer: pg.Client;
  /** Signatures in hexadecimal that a signer gave and that sign nothing. */
  readonly wrongSignatures: ReadonlySet<string>;
  readonly onTried: () => void;
  /** Whether a hash was written down in a history of the database that is gone. */
  readonly wasWritten: (hash: Uint8Array) => boolean;
};

const LATE_MS_MIN = 10;
const LATE_MS_MAX = 30_000; // Well past every target.

/** What a participant may say of a submission that it has carried out. */
const LIES: readonly Refusal[] = [
  { code: 'CONTRACT_NOT_FOUND', category: 'resourceMissing', text: 'a lie' },
  { code: 'DUPLICATE_COMMAND', category: 'resourceExists', text: 'a lie' },
  { code: 'LOCAL_VERDICT_LOCKED_CONTRACTS', category: 'contention', text: 'a lie' },
];

export function submitterFor(life: Life, options: SubmissionAccessOptions): Omit<Submitter, 'close'> {
  const { network, faults, dice, marks, lastMoment, onTried } = options;
  const answerTo = async (path: string, bytes: Uint8Array): Promise<Uint8Array> => {
    const { api, faults: controls } = options.participant();
    const wrong = controls.submissions;
    wrong.clear();
    if (path.endsWith('/PrepareSubmission')) {
      if (faults.strikes('prepareLies')) {
        const lie = drawLie(network, dice);
        marks.add(`participant lies about ${lie.kind}`);
        wrong.set({ lieInPrepare: { next: 1, lie } });
      }
      const answer = await api.prepareSubmission(PrepareSubmissionRequest.decode(bytes));
      return PrepareSubmissionResponse.encode(answer).finish();
    }
    const request = ExecuteSubmissionRequest.decode(bytes);
    await demandWrittenDown(options, request);
    demandSigned(request, options.wrongSignatures);
    onTried();
    marks.add(faults.isOver() ? 'executed in calm' : 'executed in trouble');
    if (faults.strikes('completionLies')) {
      marks.add('completion lies');
      wrong.set({ lieInCompletions: { next: 1, lie: dice.pick(['inverted', 'missing', 'otherCommand'] as const) } });
    }
    const target = PreparedTransaction.decode(request.preparedTransaction).metadata?.maxRecordTime;
    // By a process that stood still since it signed, or one that lived in a history of the database that is gone.
    if (target !== undefined && target < life.clock.nowMicros())
      marks.add('executed after its target, by the clock of its process');
    if (target !== undefined && faults.strikes('executeAtTarget')) {
      lastMoment.commitAt(target, async () => {
        try {
          await api.executeSubmission(request);
        } catch (error) {
          if (!isCantonError(error)) throw error;
          marks.add('refused at the target');
        }
      });
      return ExecuteSubmissionResponse.encode({}).finish();
    }
    if (faults.strikes('executeDropped')) {
      marks.add('execute answered and dropped');
      wrong.set({ dropExecutes: { next: 1 } });
    }
    if (faults.strikes('executeTwice')) {
      marks.add('execute sequenced twice');
      wrong.set({ duplicateExecutes: { next: 1 } });
    }
    if (faults.strikes('executeLate')) {
      marks.add('execute sequenced late');
      wrong.set({ delaySequencingMs: Math.round(dice.logUniform(LATE_MS_MIN, LATE_MS_MAX)) });
    }
    const answer = await api.executeSubmission(request);
    if (faults.strikes('executeUnanswered')) {
      marks.add('execute carried out, unanswered');
      throw unavailable('ExecuteSubmission');
    }
    if (faults.strikes('executeLies')) {
      marks.add('execute carried out, said to have failed');
      throw cantonError(dice.pick(LIES));
    }
    return ExecuteSubmissionResponse.encode(answer).finish();
  };
  return submitterOver(async <Request, Response>(method: UnaryMethod<Request, Response>, request: Request) => {
    const bytes = method.requestSerialize(request);
    const name = method.path.slice(method.path.lastIndexOf('/') + 1);
    const answer = await life.calls.call(name, async () => await answerTo(method.path, bytes));
    return method.responseDeserialize(Buffer.from(answer));
  });
}

function drawLie(network: Network, dice: Dice): PrepareLie {
  return dice.pick<PrepareLie>([
    { kind: 'receiver', receiver: network.party('carol') },
    { kind: 'receiver', receiver: network.party('carol') },
    { kind: 'amount', amount: '3.0000000000' },
    { kind: 'amount', amount: '3.0000000000' },
    { kind: 'hash' },
    { kind: 'maxRecordTime', micros: undefined },
    { kind: 'extraNode' },
  ]);
}

/** A try is counted before it is made, of a hash that was written down before it was signed. */
async function demandWrittenDown(
  { observer, marks, wasWritten }: SubmissionAccessOptions,
  request: ExecuteSubmissionRequest,
): Promise<void> {
  const { preparedTransaction } = request;
  const hash = preparedTransactionHash(PreparedTransaction.decode(preparedTransaction), 'V3');
  const { rows } = await observer.query<{ tries: number }>({
    name: 'executing',
    text: `SELECT a.tries::int AS tries FROM signed_hash h JOIN attempt a ON a.submission_id = h.submission_id AND a.number = h.number WHERE h.hash = $1`,
    values: [Buffer.from(hash)],
  });
  if (wasWritten(hash)) {
    marks.add('executed what a lost database had written down');
    return;
  }
  must((rows[0]?.tries ?? 0) > 0, 'nothing is executed before it is written down', { written: rows[0] });
}

function demandSigned({ partySignatures }: ExecuteSubmissionRequest, wrong: ReadonlySet<string>): void {
  const sent = (partySignatures?.signatures ?? []).flatMap(({ signatures }) =>
    signatures.map(({ signature }) => Buffer.from(signature).toString('hex')),
  );
  must(
    sent.length > 0 && sent.every((signature) => !wrong.has(signature)),
    'nothing is sent with a signature that signs nothing',
    { sent },
  );
}
