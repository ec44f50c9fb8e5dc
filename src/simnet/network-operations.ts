/**
 * What wallets, admins and the DSO do on the simulated network. Every operation interprets, commits and returns; a refusal is thrown as a
 * CantonError and changes nothing. Parties are named by hint or full id, instruments by token name, amounts are decimal texts.
 */
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';
import { decimalOfUnits, unitsOfDecimal } from './daml/decimal.ts';
import { ARCHIVE_ARGUMENT, type Command } from './daml/interpreter.ts';
import { contractIdOf, type Value } from './daml/value.ts';
import type { Committed, Ledger } from './ledger/ledger.ts';
import type { Participant } from './ledger/participant.ts';
import {
  holdingOf,
  holdingsOf,
  instructionOf,
  outcomeOf,
  pickInputs,
  type TransferOutcome,
} from './network-commands.ts';
import type {
  BatchRequest,
  HoldingRequest,
  InstructionRequest,
  OperationResult,
  Operations,
  SubmitOptions,
  TransferRequest,
} from './operation-requests.ts';
import type { Generation } from './tokens/amulet-contracts.ts';
import {
  contextBool,
  factoryTransferArgument,
  type InstructionChoice,
  instructionArgument,
  META,
  type Transfer,
} from './tokens/standard.ts';
import { choiceNameV2, instructionArgumentV2 } from './tokens/standard-v2.ts';
import type { Submittable, Token, TokenLedger } from './tokens/token.ts';
import {
  BATCH_TEMPLATE,
  batchArgument,
  batchArguments,
  type Call,
  PROXY_TEMPLATE,
  proxied,
  proxyArguments,
} from './tokens/wrappers.ts';

export type OperationsOptions = {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly random: Random;
  readonly token: (name: string) => Token;
  /** @returns the token of an instrument id. */
  readonly tokenOf: (instrument: Transfer['instrumentId']) => Token;
  /** @returns the full id of a party given by hint or id. */
  readonly party: (nameOrId: string) => string;
  readonly participant: (name: string) => Participant;
  /** The first participant that hosts the party. */
  readonly hostOf: (party: string) => Participant;
  readonly preferredPackages: (generation: Generation) => ReadonlySet<string>;
  /** Gives the featured app's provider, whose proxies wallets go through. */
  readonly proxyProvider: string;
};

const OFFER_LIFE_MICROS = 24n * 3_600n * 1_000_000n; // A day: long enough for any test, far below the 90 days that the registry allows.
const INPUTS_MAX = 100;

/** A call of a standard choice with the parties who must authorize it. */
type Planned = { readonly call: Call; readonly actAs: readonly string[] };

export function createOperations(options: OperationsOptions): Operations & { readonly tokenLedger: TokenLedger } {
  const { ledger, clock, random, token, tokenOf, party, participant, hostOf, preferredPackages, proxyProvider } =
    options;
  const proxies = new Map<string, string>();

  const generationOf = ({ generation }: SubmitOptions): Generation =>
    generation ?? (random.next() < 0.5 ? 'old' : 'new');

  const submit = (
    { commands, actAs }: Submittable,
    generation: Generation,
    submission: SubmitOptions,
  ): Committed & { readonly results: readonly Value[] } => {
    const interpreted = ledger.interpret({ commands, actAs, preferredPackages: preferredPackages(generation) });
    const [submitter = ''] = actAs;
    const { via, commandId, workflowId, externalTransactionHash } = submission;
    const committed = ledger.commit(interpreted, {
      via: via === undefined ? hostOf(submitter) : participant(via),
      ...(commandId === undefined ? {} : { commandId }),
      ...(workflowId === undefined ? {} : { workflowId }),
      ...(externalTransactionHash === undefined ? {} : { externalTransactionHash }),
    });
    return { ...committed, results: interpreted.results };
  };

  const tokenLedger: TokenLedger = {
    submit: (submission, generation) => submit(submission, generation, {}).results,
    template: (packageName, moduleName, entityName, generation) =>
      ledger.template(preferredPackages(generation))(packageName, moduleName, entityName),
    nowMicros: () => clock.nowMicros(),
  };

  const proxyOf = (delegate: string, generation: Generation): string => {
    const known = proxies.get(delegate);
    if (known !== undefined) return known;
    const createArguments = proxyArguments(proxyProvider, delegate);
    const command: Command = { kind: 'create', template: PROXY_TEMPLATE, createArguments };
    const [created] = tokenLedger.submit({ commands: [command], actAs: [proxyProvider] }, generation);
    const cid = created === undefined ? '' : contractIdOf(created);
    proxies.set(delegate, cid);
    return cid;
  };

  const planTransfer = (
    request: Omit<TransferRequest, keyof SubmitOptions>,
    generation: Generation,
    taken: Set<string>,
  ): Planned => {
    const { instrumentId, planTransfer: plan } = token(request.instrument);
    const now = clock.nowMicros();
    const sender = party(request.sender);
    const amountUnits = unitsOfDecimal(request.amount);
    const meta = new Map(Object.entries(request.meta ?? {}));
    if (request.memo !== undefined) meta.set(META.reason, request.memo);
    const inputHoldingCids =
      request.inputHoldingCids ?? pickInputs(holdingsOf(ledger.contracts, sender, instrumentId), amountUnits, taken);
    for (const cid of inputHoldingCids) taken.add(cid);
    const transfer: Transfer = {
      sender,
      receiver: party(request.receiver),
      amountUnits,
      instrumentId,
      requestedAtMicros: request.requestedAtMicros ?? now,
      executeBeforeMicros: request.executeBeforeMicros ?? now + OFFER_LIFE_MICROS,
      inputHoldingCids,
      meta,
    };
    const { factoryCid, context } = plan(transfer, { generation, asOffer: request.kind === 'offer' });
    const call: Call = {
      contractId: factoryCid,
      choice: 'TransferFactory_Transfer',
      argument: factoryTransferArgument(instrumentId.admin, transfer, context),
    };
    return { call: request.proxy ? proxied(proxyOf(sender, generation), call) : call, actAs: [sender] };
  };

  const transferOfInstruction = (instructionCid: string): Transfer => {
    const known = ledger.contracts.find(instructionCid);
    const transfer = known && instructionOf(known.contract);
    if (transfer !== undefined) return transfer;
    throw new PermanentError('SIMNET_UNKNOWN_INSTRUCTION', 'No transfer instruction has that contract id.', {
      instructionCid,
    });
  };

  const planInstruction = (
    choice: InstructionChoice,
    { instructionCid, proxy, standard }: Pick<InstructionRequest, 'instructionCid' | 'proxy' | 'standard'>,
    generation: Generation,
  ): Planned => {
    const { sender, receiver, instrumentId, inputHoldingCids } = transferOfInstruction(instructionCid);
    const actor = { Accept: receiver, Reject: receiver, Withdraw: sender, Update: instrumentId.admin }[choice];
    const known = tokenOf(instrumentId).instructionContext(choice, generation);
    // As a registry answers where the lock was released before the offer ended.
    const isUnlocked = inputHoldingCids.every((cid) => ledger.contracts.find(cid)?.isActive !== true);
    const context = isUnlocked && known.has('expire-lock') ? new Map([['expire-lock', contextBool(false)]]) : known;
    const call: Call =
      standard === 'V2'
        ? {
            contractId: instructionCid,
            choice: choiceNameV2(choice),
            argument: instructionArgumentV2(choice, [actor], context),
          }
        : {
            contractId: instructionCid,
            choice: `TransferInstruction_${choice}`,
            argument: instructionArgument(choice, context),
          };
    return { call: proxy ? proxied(proxyOf(actor, generation), call) : call, actAs: [actor] };
  };

  const resultOf = ({ results, ...committed }: ReturnType<typeof submit>): OperationResult => {
    const [result] = results;
    const outcome = result && outcomeOf(result);
    if (outcome === undefined) throw new PermanentError('SIMNET_NO_OUTCOME', 'The choice returned no transfer result.');
    return { ...committed, ...outcome };
  };

  const commandOf = ({ call }: Planned): Command => ({ kind: 'exercise', ...call });

  const run = (plan: (generation: Generation) => Planned, submission: SubmitOptions): OperationResult => {
    const generation = generationOf(submission);
    const planned = plan(generation);
    return resultOf(submit({ commands: [commandOf(planned)], actAs: planned.actAs }, generation, submission));
  };

  const instruction =
    (choice: InstructionChoice) =>
    (request: InstructionRequest): OperationResult =>
      run((generation) => planInstruction(choice, request, generation), request);

  const onHolding =
    (action: 'expireDust' | 'releaseLock') =>
    ({ contractId, ...submission }: HoldingRequest): Committed => {
      const contract = ledger.contracts.find(contractId)?.contract;
      const holding = contract && holdingOf(contract);
      const act = holding && tokenOf(holding.instrumentId)[action];
      if (contract === undefined || act === undefined) {
        throw new PermanentError(
          'SIMNET_NO_SUCH_HOLDING',
          'No holding has that id, or its token knows no such thing.',
          {
            contractId,
            action,
          },
        );
      }
      const generation = generationOf(submission);
      const { results: _, ...committed } = submit(act(contract, generation), generation, submission);
      return committed;
    };

  const selfTransfer = (
    request: SubmitOptions & Pick<TransferRequest, 'instrument' | 'amount' | 'inputHoldingCids'>,
    owner: string,
  ) =>
    run((generation) => planTransfer({ ...request, sender: owner, receiver: owner }, generation, new Set()), request);

  const batch = (request: BatchRequest): Committed & { readonly outcomes: readonly TransferOutcome[] } => {
    const generation = generationOf(request);
    const taken = new Set<string>();
    const planned = request.operations.map((operation): Planned => {
      if (operation.operation === 'transfer') return planTransfer(operation, generation, taken);
      const choice = ({ accept: 'Accept', reject: 'Reject', withdraw: 'Withdraw', expire: 'Update' } as const)[
        operation.operation
      ];
      return planInstruction(choice, operation, generation);
    });
    const actAs = [...new Set(planned.flatMap((plan) => plan.actAs))];
    if (request.wrapper !== undefined) {
      const user = party(request.wrapper);
      const command: Command = {
        kind: 'createAndExercise',
        template: BATCH_TEMPLATE,
        createArguments: batchArguments(user),
        choice: 'BatchingUtilityV2_ExecuteBatch',
        argument: batchArgument(planned.map(({ call }) => call)),
      };
      const { results: _, ...committed } = submit({ commands: [command], actAs: [user] }, generation, request);
      return { ...committed, outcomes: [] };
    }
    const { results, ...committed } = submit({ commands: planned.map(commandOf), actAs }, generation, request);
    return { ...committed, outcomes: results.flatMap((result) => outcomeOf(result) ?? []) };
  };

  return {
    tokenLedger,
    tap: (request) => {
      const generation = generationOf(request);
      const minting = token(request.instrument).mint(
        tokenLedger,
        party(request.owner),
        unitsOfDecimal(request.amount),
        generation,
      );
      const { results: _, ...committed } = submit(minting, generation, request);
      return committed;
    },
    burn: (request) => {
      const generation = generationOf(request);
      const { burn, instrumentId, name } = token(request.instrument);
      const owner = party(request.owner);
      const amountUnits = unitsOfDecimal(request.amount);
      const inputs = pickInputs(holdingsOf(ledger.contracts, owner, instrumentId), amountUnits, new Set());
      if (burn === undefined)
        throw new PermanentError('SIMNET_CANNOT_BURN', 'This token knows no burning.', { instrument: name });
      const { results: _, ...committed } = submit(burn(owner, inputs, amountUnits, generation), generation, request);
      return committed;
    },
    transfer: (request) => run((generation) => planTransfer(request, generation, new Set()), request),
    accept: instruction('Accept'),
    reject: instruction('Reject'),
    withdraw: instruction('Withdraw'),
    expire: instruction('Update'),
    evolve: instruction('Update'),
    reportOutcome: ({ instructionCid, isSuccess, ...submission }) => {
      const generation = generationOf(submission);
      const report = tokenOf(transferOfInstruction(instructionCid).instrumentId).reportOutcome;
      if (report === undefined)
        throw new PermanentError('SIMNET_NO_OUTCOME', 'The admin of this token has no word in it.', { instructionCid });
      return resultOf(submit(report(instructionCid, isSuccess), generation, submission));
    },
    archiveOffer: ({ instructionCid, alsoLocked = false, ...submission }) => {
      const { inputHoldingCids } = transferOfInstruction(instructionCid);
      const archived = [instructionCid, ...(alsoLocked ? inputHoldingCids : [])];
      const signatories = archived.flatMap((cid) => ledger.contracts.find(cid)?.contract.signatories ?? []);
      const commands = archived.map(
        (contractId): Command => ({
          kind: 'exercise',
          contractId,
          choice: 'Archive',
          argument: { recordId: ARCHIVE_ARGUMENT, fields: [] },
        }),
      );
      const generation = generationOf(submission);
      const { results: _, ...committed } = submit(
        { commands, actAs: [...new Set(signatories)] },
        generation,
        submission,
      );
      return committed;
    },
    expireDust: onHolding('expireDust'),
    releaseLock: onHolding('releaseLock'),
    merge: (request) => {
      const owner = party(request.owner);
      const holdings = holdingsOf(ledger.contracts, owner, token(request.instrument).instrumentId);
      const inputs =
        request.inputHoldingCids ?? pickInputs(holdings, UNREACHABLE_UNITS, new Set()).slice(0, INPUTS_MAX);
      const sum = holdings.reduce(
        (total, holding) => total + (inputs.includes(holding.contractId) ? holding.amountUnits : 0n),
        0n,
      );
      return selfTransfer({ ...request, inputHoldingCids: inputs, amount: decimalOfUnits(sum) }, owner);
    },
    split: (request) => selfTransfer(request, request.owner),
    batch,
    rollRound: ({ instrument }) => {
      const { rollRound } = token(instrument);
      if (rollRound === undefined)
        throw new PermanentError('SIMNET_UNSUPPORTED', 'Contexts of this token stay good.', { instrument });
      rollRound(tokenLedger);
    },
    preapprove: ({ instrument, receiver, generation, lifetimeMs }) =>
      token(instrument).preapprove(tokenLedger, party(receiver), generation ?? generationOf({}), microsOf(lifetimeMs)),
    renewPreapproval: ({ instrument, receiver, lifetimeMs }) =>
      token(instrument).preapprovals?.renew(tokenLedger, party(receiver), microsOf(lifetimeMs)),
    cancelPreapproval: ({ instrument, receiver }) =>
      token(instrument).preapprovals?.cancel(tokenLedger, party(receiver)),
    acceptPreapprovals: ({ lifetimeMs }) =>
      token('amulet').preapprovals?.acceptAll(tokenLedger, ledger.contracts.active(), microsOf(lifetimeMs)) ?? 0,
  };
}

function microsOf(lifetimeMs: number | undefined): bigint | undefined {
  return lifetimeMs === undefined ? undefined : BigInt(lifetimeMs) * 1_000n;
}

/** More than any holdings can sum up to: picks them all. */
const UNREACHABLE_UNITS = 10n ** 40n;
