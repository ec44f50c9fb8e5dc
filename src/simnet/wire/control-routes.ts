/** What the control endpoint understands: paths, the shape of each body, and the operation behind it. */
import { z } from 'zod';
import { PermanentError } from '../../env/errors.ts';
import type { Customer } from '../customers.ts';
import type { Network } from '../network.ts';
import { TREASURY } from '../network.ts';
import { RECEIVER_ANSWERS, type Receivers } from '../receivers.ts';
import { LIES } from '../registry/lies.ts';
import type { RunningInstance, TokenServices } from '../registry/token-services.ts';
import { alsoHowOften, decimal, micros, offset } from './control-shapes.ts';
import type { EndpointControls } from './endpoints.ts';
import { PARTICIPANT_ROUTES } from './participant-routes.ts';

export type ControlContext = TokenServices & {
  readonly network: Network;
  readonly customers: readonly Customer[];
  readonly receivers: Pick<Receivers, 'set'>;
  /** Name → `host:port` of the Ledger API. */
  readonly grpcAddresses: ReadonlyMap<string, string>;
  readonly endpoints: EndpointControls;
};

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
const instructionRequest = z.strictObject({ ...submission, ...instruction, standard: z.literal('V2').exactOptional() });
const outcomeRequest = z.strictObject({ ...submission, instructionCid: z.string(), isSuccess: z.boolean() });
const archiveRequest = z.strictObject({
  ...submission,
  instructionCid: z.string(),
  alsoLocked: z.boolean().exactOptional(),
});
const receiverHabit = z.strictObject({
  party: z.string(),
  does: z.enum(RECEIVER_ANSWERS),
  afterMs: z.int().min(0).exactOptional(),
});
const holdingRequest = z.strictObject({ ...submission, contractId: z.string() });
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
  lifetimeMs: z.int().exactOptional(),
});
const preapprovalRequest = z.strictObject({
  instrument: z.string(),
  receiver: z.string(),
  lifetimeMs: z.int().exactOptional(),
});
const acceptPreapprovalsRequest = z.strictObject({ lifetimeMs: z.int().exactOptional() });
const publicKey = z.base64().transform((text) => Uint8Array.from(Buffer.from(text, 'base64')));
const partyRequest = z.strictObject({
  hint: z.string().regex(/^[\w-]{1,100}$/),
  on: z.array(z.string()).min(1),
  publicKey: publicKey.exactOptional(),
});
const keyRequest = z.strictObject({ party: z.string(), publicKey });
const delaysRequest = z.strictObject({
  sequencingMs: z.int().min(0).exactOptional(),
  verdictMs: z.int().min(0).exactOptional(),
});
const registryFault = alsoHowOften({
  fault: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.enum(['hang', 'cut', 'compressed', 'endlessPages']) }),
    z.strictObject({ kind: z.literal('slow'), delayMs: z.int().min(0) }),
    z.strictObject({
      kind: z.literal('status'),
      status: z.int().min(300).max(599),
      headers: z.record(z.string(), z.string()).exactOptional(),
    }),
    z.strictObject({ kind: z.literal('nested'), depth: z.int().min(1).max(1_000_000) }),
    z.strictObject({
      kind: z.literal('lie'),
      lie: z.enum(LIES),
      salt: z.string().exactOptional(),
      delayMs: z.int().min(0).exactOptional(),
    }),
    z.strictObject({ kind: z.literal('trickle') }),
    z.strictObject({ kind: z.literal('huge'), bytes: z.int().min(1) }),
    z.strictObject({ kind: z.literal('notJson') }),
    z.strictObject({ kind: z.literal('redirect'), location: z.string() }),
    z.strictObject({ kind: z.literal('mutate'), fields: z.record(z.string(), z.unknown()) }),
  ]),
});

const instance = { admin: z.string(), instance: z.int().min(0).exactOptional() };

const parties = z.array(z.string()).exactOptional();
const userRequest = z.strictObject({
  id: z.string().min(1),
  actAs: parties,
  executeAs: parties,
  readAs: parties,
  readAsAnyParty: z.boolean().exactOptional(),
  isAdmin: z.boolean().exactOptional(),
});
const participantSpec = z.strictObject({
  name: z.string().regex(/^[\w-]{1,100}$/),
  firstOffset: offset.exactOptional(),
  offsetStepMax: z.int().min(1).exactOptional(),
  nodeIdGap: z.int().min(0).exactOptional(),
});
const contractsPerUpdate = z.int().min(1).exactOptional();
const importRequest = z.strictObject({
  parties: z.array(z.string()).min(1),
  to: z.string(),
  recordTimeMicros: micros.exactOptional(),
  contractsPerUpdate,
});
const migrationRequest = z.strictObject({ from: z.string(), to: participantSpec, contractsPerUpdate });
const reassignRequest = z.strictObject({
  contractId: z.string(),
  target: z.string(),
  submitter: z.string().exactOptional(),
});
const upgradeRequest = z.strictObject({
  step: z.enum(['begin', 'complete']).exactOptional(),
  protocolVersion: z.int().min(1).exactOptional(),
  isInconsistent: z.boolean().exactOptional(),
});
const endpointRequest = z.strictObject({ endpoint: z.string() });
const tokenRequest = z.strictObject({
  user: z.string(),
  lifetimeMs: z.int().exactOptional(),
  audience: z.string().exactOptional(),
});
type Route = (context: ControlContext, body: unknown) => unknown;

const ROUTES: Readonly<Record<string, Route>> = {
  tap: ({ network }, body) => network.tap(amountRequest.parse(body)),
  burn: ({ network }, body) => network.burn(amountRequest.parse(body)),
  transfer: ({ network }, body) => network.transfer(transferRequest.parse(body)),
  accept: ({ network }, body) => network.accept(instructionRequest.parse(body)),
  reject: ({ network }, body) => network.reject(instructionRequest.parse(body)),
  withdraw: ({ network }, body) => network.withdraw(instructionRequest.parse(body)),
  expire: ({ network }, body) => network.expire(instructionRequest.parse(body)),
  evolve: ({ network }, body) => network.evolve(instructionRequest.parse(body)),
  'report-outcome': ({ network }, body) => network.reportOutcome(outcomeRequest.parse(body)),
  'archive-offer': ({ network }, body) => network.archiveOffer(archiveRequest.parse(body)),
  receiver: ({ receivers }, body) => {
    receivers.set(receiverHabit.parse(body));
    return {};
  },
  'expire-dust': ({ network }, body) => network.expireDust(holdingRequest.parse(body)),
  'release-lock': ({ network }, body) => network.releaseLock(holdingRequest.parse(body)),
  merge: ({ network }, body) => network.merge(mergeRequest.parse(body)),
  split: ({ network }, body) => network.split(amountRequest.parse(body)),
  batch: ({ network }, body) => network.batch(batchRequest.parse(body)),
  'roll-round': ({ network }, body) => {
    network.rollRound(z.strictObject({ instrument: z.string() }).parse(body));
    return {};
  },
  preapprove: ({ network }, body) => {
    network.preapprove(preapproveRequest.parse(body));
    return {};
  },
  'renew-preapproval': ({ network }, body) => {
    network.renewPreapproval(preapprovalRequest.parse(body));
    return {};
  },
  'cancel-preapproval': ({ network }, body) => {
    network.cancelPreapproval(preapprovalRequest.parse(body));
    return {};
  },
  'accept-preapprovals': ({ network }, body) => ({
    accepted: network.acceptPreapprovals(acceptPreapprovalsRequest.parse(body)),
  }),
  party: ({ network }, body) => ({ party: network.allocateParty(partyRequest.parse(body)) }),
  'register-key': ({ network }, body) => {
    const { party, publicKey: key } = keyRequest.parse(body);
    return { fingerprint: network.registerKey(party, key) };
  },
  'revoke-key': ({ network }, body) => {
    const { party, fingerprint } = z.strictObject({ party: z.string(), fingerprint: z.string() }).parse(body);
    network.revokeKey(party, fingerprint);
    return {};
  },
  delays: ({ network }, body) => {
    network.setDelays(delaysRequest.parse(body));
    return {};
  },
  /** At once, or in two steps with a pause between them. */
  'upgrade-synchronizer': ({ network: { synchronizer } }, body) => {
    const { step, ...upgrade } = upgradeRequest.parse(body);
    if (step === 'complete') synchronizer.completeUpgrade();
    else if (step === 'begin') synchronizer.beginUpgrade(upgrade);
    else synchronizer.upgrade(upgrade);
    return {};
  },
  'jump-time': ({ network }, body) => {
    const request = z.strictObject({ deltaMicros: micros, synchronizer: z.string().exactOptional() }).parse(body);
    const { deltaMicros, synchronizer } = request;
    (synchronizer === undefined ? network.synchronizer : network.synchronizerNamed(synchronizer)).jumpTime(deltaMicros);
    return {};
  },
  'share-next-time': ({ network }, body) => {
    network.synchronizer.shareNextTime(z.strictObject({ count: z.int().min(1) }).parse(body).count);
    return {};
  },
  'add-synchronizer': ({ network }, body) => {
    const { name } = z.strictObject({ name: z.string().regex(/^[\w-]{1,100}$/) }).parse(body);
    return { synchronizerId: network.addSynchronizer(name).synchronizerId };
  },
  reassign: ({ network }, body) => network.reassign(reassignRequest.parse(body)),
  unassign: ({ network }, body) => network.unassign(reassignRequest.parse(body)),
  assign: ({ network }, body) => network.assign(z.strictObject({ reassignmentId: z.string() }).parse(body)),
  'add-participant': ({ network }, body) => ({
    participantId: network.addParticipant(participantSpec.parse(body)).participantId,
  }),
  'import-parties': ({ network }, body) => network.importParties(importRequest.parse(body)),
  /** The endpoint of the former participant leads to the new one. */
  migrate: ({ network, endpoints }, body) => {
    const request = migrationRequest.parse(body);
    const { name, participantId } = network.migrate(request);
    endpoints.switch(request.from, name);
    return { participantId };
  },
  fork: ({ network }, body) => ({
    lost: network.fork(z.strictObject({ transactions: z.int().min(0) }).parse(body).transactions),
  }),
  'demand-tokens': ({ network: { access } }, body) => {
    access.demandTokens(z.strictObject({ demanded: z.boolean() }).parse(body).demanded);
    return {};
  },
  'set-user': ({ network: { access } }, body) => {
    access.setUser(userRequest.parse(body));
    return {};
  },
  'remove-user': ({ network: { access } }, body) => {
    access.removeUser(z.strictObject({ id: z.string() }).parse(body).id);
    return {};
  },
  'token-lifetime': ({ network: { access } }, body) => {
    access.setTokenLifetime(z.strictObject({ lifetimeMs: z.int() }).parse(body).lifetimeMs);
    return {};
  },
  token: ({ network: { access } }, body) => access.issueToken(tokenRequest.parse(body)),
  'switch-endpoint': ({ endpoints }, body) => {
    const { endpoint, participant } = z.strictObject({ endpoint: z.string(), participant: z.string() }).parse(body);
    endpoints.switch(endpoint, participant);
    return {};
  },
  'close-endpoint': async ({ endpoints }, body) => {
    await endpoints.close(endpointRequest.parse(body).endpoint);
    return {};
  },
  'open-endpoint': async ({ endpoints }, body) => {
    await endpoints.open(endpointRequest.parse(body).endpoint);
    return {};
  },
  /** Of one instance of the admin's registry: the first when none is named. */
  'registry-fault': (context, body) => {
    const { fault, ...which } = z.strictObject({ ...instance, fault: registryFault.nullable() }).parse(body);
    setFault(instanceOf(context, which), fault);
    return {};
  },
  'validator-fault': ({ validator }, body) => {
    setFault(validator, z.strictObject({ fault: registryFault.nullable() }).parse(body).fault);
    return {};
  },
  'close-registry': async (context, body) => {
    await instanceOf(context, z.strictObject(instance).parse(body)).close();
    return {};
  },
  'open-registry': async (context, body) => {
    await instanceOf(context, z.strictObject(instance).parse(body)).open();
    return {};
  },
  balance: ({ network }, body) => ({
    balance: network.balance(z.strictObject({ instrument: z.string(), owner: z.string() }).parse(body)),
  }),
};

function instanceOf(
  { registries }: ControlContext,
  { admin, instance: index = 0 }: { readonly admin: string; readonly instance?: number },
): RunningInstance {
  const found = registries.find((candidate) => candidate.admin === admin)?.instances[index];
  if (found !== undefined) return found;
  throw new PermanentError('SIMNET_NOT_FOUND', 'No such instance of a registry of that admin.', { admin, index });
}

function setFault({ faults }: RunningInstance, fault: z.infer<typeof registryFault> | null): void {
  if (fault === null) faults.clear();
  else faults.set(fault);
}

/**
 * `GET /simnet` describes the network; `POST /<operation>` and `POST /participants/<name>/<switch>` change it.
 * @throws PermanentError SIMNET_NOT_FOUND or SIMNET_BAD_REQUEST, or whatever the operation throws.
 */
export async function answerControl(
  context: ControlContext,
  method: string,
  path: string,
  body: unknown,
): Promise<unknown> {
  if (method === 'GET' && path === '/simnet') return describe(context);
  const [, first = '', name = '', action = '', ...rest] = path.split('/');
  try {
    if (method === 'POST' && first === 'participants' && rest.length === 0) {
      const route = own(PARTICIPANT_ROUTES, action);
      if (route !== undefined) return await route(context.network.participant(name), body, context.network.party);
    }
    const route = method === 'POST' && name === '' ? own(ROUTES, first) : undefined;
    if (route !== undefined) return await route(context, body);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    throw new PermanentError('SIMNET_BAD_REQUEST', z.prettifyError(error), {}, { cause: error });
  }
  throw new PermanentError('SIMNET_NOT_FOUND', 'There is no such operation.', { method, path });
}

function own<T>(routes: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(routes, name) ? routes[name] : undefined;
}

function describe(context: ControlContext): unknown {
  const { network, customers, grpcAddresses, endpoints, registries, scans, validator } = context;
  return {
    synchronizerId: network.synchronizerId,
    participants: network.participants.map((participant) => ({
      name: participant.name,
      participantId: participant.participantId,
      grpcAddress: grpcAddresses.get(participant.name),
      ledgerEnd: participant.ledgerEnd(),
      servedBy: endpoints.serving(participant.name).name,
      prunedUpTo: participant.prunedUpTo(),
      behind: participant.intake.behind(),
      openStreams: participant.faults.openStreams(),
      hostedParties: participant.hostedParties(),
    })),
    parties: Object.fromEntries(network.parties()),
    treasuries: [network.party(TREASURY)],
    registries: registries.map(({ admin, url }) => ({ admin, url })),
    registryInstances: Object.fromEntries(
      registries.map(({ admin, instances }) => [admin, instances.map(({ url }) => url)]),
    ),
    scans: scans.map(({ url }) => url),
    validator: validator.url,
    instruments: network.tokens.map(({ name, instrumentId }) => ({ name, ...instrumentId })),
    customers,
    operations: [...Object.keys(ROUTES), ...Object.keys(PARTICIPANT_ROUTES).map((name) => `<participant>/${name}`)],
  };
}
