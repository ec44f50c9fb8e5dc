/** What the control endpoint understands: paths, the shape of each body, and the operation behind it. */
import { z } from 'zod';
import { PermanentError } from '../../env/errors.ts';
import type { Customer } from '../customers.ts';
import type { Participant } from '../ledger/participant.ts';
import type { Network } from '../network.ts';
import { TREASURY } from '../network.ts';
import { transactionOfJson } from '../recorded/json-transaction.ts';

export type ControlContext = {
  readonly network: Network;
  readonly customers: readonly Customer[];
  /** Name → `host:port` of the Ledger API. */
  readonly grpcAddresses: ReadonlyMap<string, string>;
};

const decimal = z.string().regex(/^\d{1,28}(\.\d{1,10})?$/, 'a decimal with at most ten digits after the point');
const micros = z
  .string()
  .regex(/^-?\d+$/, 'microseconds since 1970 as a text')
  .transform(BigInt);
const submission = {
  generation: z.enum(['old', 'new']).exactOptional(),
  via: z.string().exactOptional(),
  commandId: z.string().exactOptional(),
  workflowId: z.string().exactOptional(),
};
const transfer = {
  instrument: z.string(),
  sender: z.string(),
  receiver: z.string(),
  amount: decimal,
  memo: z.string().exactOptional(),
  meta: z.record(z.string(), z.string()).exactOptional(),
  requestedAtMicros: micros.exactOptional(),
  executeBeforeMicros: micros.exactOptional(),
  inputHoldingCids: z.array(z.string()).exactOptional(),
  kind: z.literal('offer').exactOptional(),
  proxy: z.boolean().exactOptional(),
};
const instruction = { instructionCid: z.string(), proxy: z.boolean().exactOptional() };

const amountRequest = z.strictObject({ ...submission, instrument: z.string(), owner: z.string(), amount: decimal });
const transferRequest = z.strictObject({ ...submission, ...transfer });
const instructionRequest = z.strictObject({ ...submission, ...instruction });
const mergeRequest = z.strictObject({
  ...submission,
  instrument: z.string(),
  owner: z.string(),
  inputHoldingCids: z.array(z.string()).exactOptional(),
});
const batchRequest = z.strictObject({
  ...submission,
  wrapper: z.string().exactOptional(),
  operations: z.array(
    z.union([
      z.strictObject({ operation: z.literal('transfer'), ...transfer }),
      z.strictObject({ operation: z.enum(['accept', 'reject', 'withdraw', 'expire']), ...instruction }),
    ]),
  ),
});
const preapproveRequest = z.strictObject({
  instrument: z.string(),
  receiver: z.string(),
  generation: submission.generation,
});
const partyRequest = z.strictObject({ hint: z.string().regex(/^[\w-]{1,100}$/), on: z.array(z.string()).min(1) });

type Route = (context: ControlContext, body: unknown) => unknown;

const ROUTES: Readonly<Record<string, Route>> = {
  tap: ({ network }, body) => network.tap(amountRequest.parse(body)),
  burn: ({ network }, body) => network.burn(amountRequest.parse(body)),
  transfer: ({ network }, body) => network.transfer(transferRequest.parse(body)),
  accept: ({ network }, body) => network.accept(instructionRequest.parse(body)),
  reject: ({ network }, body) => network.reject(instructionRequest.parse(body)),
  withdraw: ({ network }, body) => network.withdraw(instructionRequest.parse(body)),
  expire: ({ network }, body) => network.expire(instructionRequest.parse(body)),
  merge: ({ network }, body) => network.merge(mergeRequest.parse(body)),
  split: ({ network }, body) => network.split(amountRequest.parse(body)),
  batch: ({ network }, body) => network.batch(batchRequest.parse(body)),
  preapprove: ({ network }, body) => {
    network.preapprove(preapproveRequest.parse(body));
    return {};
  },
  party: ({ network }, body) => ({ party: network.allocateParty(partyRequest.parse(body)) }),
  balance: ({ network }, body) => ({
    balance: network.balance(z.strictObject({ instrument: z.string(), owner: z.string() }).parse(body)),
  }),
};

const PARTICIPANT_ROUTES: Readonly<Record<string, (participant: Participant, body: unknown) => unknown>> = {
  'end-streams': ({ faults }) => ({ streams: faults.endStreams() }),
  'abort-streams': ({ faults }, body) => {
    const refusal = z.strictObject({
      code: z.string(),
      category: z.enum([
        'transientServerFailure',
        'contention',
        'internal',
        'unauthenticated',
        'permissionDenied',
        'invalidState',
      ]),
      text: z.string(),
    });
    return { streams: faults.abortStreams(refusal.parse(body)) };
  },
  duplicate: ({ faults }, body) => {
    faults.duplicateNext(z.strictObject({ count: z.int().min(1) }).parse(body).count);
    return {};
  },
  delay: ({ faults }, body) => {
    faults.delayDelivery(z.strictObject({ delayMs: z.int().min(0) }).parse(body).delayMs);
    return {};
  },
  stall: ({ faults }) => {
    faults.stall();
    return {};
  },
  resume: ({ faults }) => {
    faults.resume();
    return {};
  },
  prune: (participant, body) => {
    participant.prune(z.strictObject({ offset: micros }).parse(body).offset);
    return { prunedUpTo: participant.prunedUpTo() };
  },
  recorded: (participant, body) => ({ offset: participant.appendRecorded(transactionOfJson(body)) }),
};

/**
 * `GET /simnet` describes the network; `POST /<operation>` and `POST /participants/<name>/<switch>` change it.
 * @throws PermanentError SIMNET_NOT_FOUND or SIMNET_BAD_REQUEST, or whatever the operation throws.
 */
export function answerControl(context: ControlContext, method: string, path: string, body: unknown): unknown {
  if (method === 'GET' && path === '/simnet') return describe(context);
  const [, first = '', name = '', action = '', ...rest] = path.split('/');
  try {
    if (method === 'POST' && first === 'participants' && rest.length === 0) {
      const route = own(PARTICIPANT_ROUTES, action);
      if (route !== undefined) return route(context.network.participant(name), body);
    }
    const route = method === 'POST' && name === '' ? own(ROUTES, first) : undefined;
    if (route !== undefined) return route(context, body);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    throw new PermanentError('SIMNET_BAD_REQUEST', z.prettifyError(error), {}, { cause: error });
  }
  throw new PermanentError('SIMNET_NOT_FOUND', 'There is no such operation.', { method, path });
}

function own<T>(routes: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(routes, name) ? routes[name] : undefined;
}

function describe({ network, customers, grpcAddresses }: ControlContext): unknown {
  return {
    synchronizerId: network.synchronizerId,
    participants: network.participants.map((participant) => ({
      name: participant.name,
      participantId: participant.participantId,
      grpcAddress: grpcAddresses.get(participant.name),
      ledgerEnd: participant.ledgerEnd(),
      prunedUpTo: participant.prunedUpTo(),
      openStreams: participant.faults.openStreams(),
      hostedParties: participant.hostedParties(),
    })),
    parties: Object.fromEntries(network.parties()),
    treasuries: [network.party(TREASURY)],
    instruments: network.tokens.map(({ name, instrumentId }) => ({ name, ...instrumentId })),
    customers,
  };
}
