/**
 * Withdrawals in a schedule: what clients ask for, the automation that pays it, and the participant, registry and signer that it asks. All of them do wrong what such
 * services do wrong. What matters is looked at on the far side, where it happens: nothing is signed that is not written down, and nothing else than what is written down.
 */
import type pg from 'pg';
import { inputsOf } from '../../src/custody/intent.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Signer, SigningRequest } from '../../src/custody/signer.ts';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import { OUTBOX_CHANNEL } from '../../src/db/event-log.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import {
  ExecuteSubmissionRequest,
  ExecuteSubmissionResponse,
  PreparedTransaction,
  PrepareSubmissionRequest,
  PrepareSubmissionResponse,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { UnaryMethod } from '../../src/ledger/channel.ts';
import { submitterOver } from '../../src/ledger/submission-client.ts';
import { isCantonError } from '../../src/simnet/ledger/canton-error.ts';
import type { Participant } from '../../src/simnet/ledger/participant.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import type { PrepareLie } from '../../src/simnet/submission/submission-faults.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { runAutomation } from '../../src/withdrawals/automation.ts';
import type { ReturnRegistry } from '../../src/withdrawals/offers/return-plan.ts';
import type { Registry } from '../../src/withdrawals/transfer-plan.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { registryOf } from '../support/simnet-registry.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { LastMoment } from './last-moment.ts';
import type { Marks } from './marks.ts';
import { INSTRUMENT, type Orders } from './orders.ts';
import { unavailable } from './outside-calls.ts';
import type { Life } from './process.ts';
import type { Extension } from './serve-loop.ts';
import type { Truth } from './truth.ts';
import { must } from './violation.ts';

export type PayoutsOptions = {
  readonly network: Network;
  readonly participant: Participant;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly orders: Orders;
  readonly truth: Truth;
  readonly lastMoment: LastMoment;
  /** Sees what is committed. */
  readonly observer: pg.Client;
};

const SIGNER_KEY = ed25519PrivateKey(new Uint8Array(32).fill(7));
const USER = 'sluice';
const LATE_MS_MIN = 10;
const LATE_MS_MAX = 30_000; // Well past every target.

export type Payouts = {
  /** What every process runs beside ingestion. */
  readonly extension: Extension;
  /** Whether anything was prepared for signing yet. */
  haveBegun(): boolean;
  /** Submissions that reached the participant. */
  tries(): number;
};

/** Gives the treasury its key and some funds. */
export async function createPayouts(options: PayoutsOptions): Promise<Payouts> {
  const { network, truth, dice, orders } = options;
  const key = await createLocalSigner({ privateKey: SIGNER_KEY }).currentKey();
  network.registerKey(TREASURY, key.publicKey.export({ type: 'spki', format: 'der' }));
  for (let count = dice.integer(1, 5); count > 0; count -= 1) {
    network.tap({ instrument: INSTRUMENT, owner: TREASURY, amount: String(dice.integer(5, 80)) });
    await truth.catchUp();
  }
  network.setDelays({ sequencingMs: dice.integer(0, 300), verdictMs: dice.integer(0, 300) });
  const limits = {
    ttlMs: dice.pick([3_000, 15_000, 60_000]),
    recordTimeAgeMsMax: 35 * 60_000,
    attemptsMax: dice.pick([1, 2, 2, 4]),
    triesMax: dice.pick([2, 8]),
    tryHoldMs: dice.pick([500, 20_000]),
  };

  let hasBegun = false;
  let tries = 0;
  const onBegun = (): void => {
    hasBegun = true;
  };
  const onTried = (): void => {
    tries += 1;
  };
  const extension: Extension = {
    sinks: ({ clock, logger }) => [createWithdrawalSink({ clock, logger })],
    loop: async (life, treasury) => {
      const wakeUp = createWakeUp(life.lazyClock);
      const unlisten = life.notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
      await Promise.all([
        orders.place(life),
        runAutomation({
          ...life,
          clock: life.lazyClock,
          treasury,
          limits,
          submitter: submitterFor(life, options, onTried),
          registry: registryFor(life, options, onBegun),
          signer: signerFor(life, options),
          implementationOf: () => 'SPLICE_AMULET',
          userId: USER,
          wakeUp,
        }).finally(unlisten),
      ]);
    },
  };
  return { extension, haveBegun: () => hasBegun, tries: () => tries };
}

/** The project's own client down to the bytes. */
function submitterFor(
  life: Life,
  { network, participant, faults, dice, marks, observer, lastMoment }: PayoutsOptions,
  onTried: () => void,
) {
  const { api } = participant;
  const wrong = participant.faults.submissions;
  const answerTo = async (path: string, bytes: Uint8Array): Promise<Uint8Array> => {
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
    await demandWrittenDown(observer, request);
    onTried();
    marks.add(faults.isOver() ? 'executed in calm' : 'executed in trouble');
    const target = PreparedTransaction.decode(request.preparedTransaction).metadata?.maxRecordTime;
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
    { kind: 'amount', amount: '3.0000000000' },
    { kind: 'hash' },
    { kind: 'maxRecordTime', micros: undefined },
    { kind: 'extraNode' },
  ]);
}

function registryFor(
  life: Life,
  { network, faults, marks }: PayoutsOptions,
  onBegun: () => void,
): Registry & ReturnRegistry {
  const registry = registryOf({ network });
  return {
    transferFactory: async (instrument, transfer) =>
      await life.calls.call('TransferFactory', async () => {
        onBegun();
        const answer = await registry.transferFactory(instrument, transfer);
        if (!faults.strikes('registrySaysOffer')) return answer;
        marks.add('registry says offer');
        return { ...answer, transferKind: 'offer' };
      }),
    instructionContext: async (instrument, instructionId, choice) =>
      await life.calls.call(
        'InstructionContext',
        async () => await registry.instructionContext(instrument, instructionId, choice),
      ),
  };
}

/** Forgets everything between two requests: what only its log would catch, the automation must not need. */
function signerFor(life: Life, { observer, marks }: PayoutsOptions): Signer {
  const fresh = (): Signer => createLocalSigner({ privateKey: SIGNER_KEY });
  return {
    currentKey: async () => await fresh().currentKey(),
    sign: async (request) =>
      await life.calls.call('Sign', async () => {
        await demandFaithful(observer, request);
        marks.add('signed');
        return await fresh().sign(request);
      }),
  };
}

type Written = {
  readonly target: string;
  readonly inputs: readonly string[];
  readonly receiver: string;
  readonly amount: string;
  readonly isRequested: boolean;
};

/** What is to be signed is what is committed: the withdrawal's receiver and amount, the attempt's inputs and last record time. */
async function demandFaithful(
  observer: pg.Client,
  { submissionId, attempt, intent, prepared }: SigningRequest,
): Promise<void> {
  const { rows } = await observer.query<Written>({
    name: 'signing',
    text: `SELECT a.target_record_time::text AS target, w.receiver, w.amount::text AS amount, a.sign_requested_at IS NOT NULL AS "isRequested",
                  ARRAY(SELECT r.contract_id FROM reservation r WHERE r.submission_id = a.submission_id AND r.number = a.number ORDER BY 1) AS inputs
           FROM attempt a JOIN submission s ON s.id = a.submission_id JOIN withdrawal w ON w.id = s.withdrawal_id
           WHERE a.submission_id = $1 AND a.number = $2
             AND EXISTS (SELECT FROM signed_hash h WHERE h.submission_id = a.submission_id AND h.number = a.number AND h.hash = $3)`,
    values: [submissionId, attempt, Buffer.from(prepared.nodeHash)],
  });
  const [written] = rows;
  must(written?.isRequested === true, 'nothing is signed before it is written down', { submissionId, attempt });
  must(BigInt(written.target) === intent.maxRecordTime, 'what is signed ends when its attempt ends', {
    written: written.target,
    signed: intent.maxRecordTime,
  });
  const inputs = [...inputsOf(intent)].sort();
  must(
    inputs.length > 0 && inputs.join() === [...written.inputs].sort().join(),
    'what is signed spends what is reserved',
    {
      written: written.inputs,
      signed: inputs,
    },
  );
  must(
    written.receiver === intent.receiver && parseAmount(written.amount) === intent.amount,
    'what is signed pays what was asked for',
    { written, signed: { receiver: intent.receiver, amount: intent.amount } },
  );
}

/** A try is counted before it is made, of a hash that was written down before it was signed. */
async function demandWrittenDown(observer: pg.Client, request: ExecuteSubmissionRequest): Promise<void> {
  const { preparedTransaction } = request;
  const hash = preparedTransactionHash(PreparedTransaction.decode(preparedTransaction), 'V3');
  const { rows } = await observer.query<{ tries: number }>({
    name: 'executing',
    text: `SELECT a.tries::int AS tries FROM signed_hash h JOIN attempt a ON a.submission_id = h.submission_id AND a.number = h.number WHERE h.hash = $1`,
    values: [Buffer.from(hash)],
  });
  must((rows[0]?.tries ?? 0) > 0, 'nothing is executed before it is written down', { written: rows[0] });
}
