/**
 * Runs commands against the ledger's contracts and returns the transaction they would make. It changes nothing: what commits a tree and
 * what only shows it (a prepared submission) start from the same result.
 *
 * Enforced here, as by Daml-LF: authority of every create and exercise, activeness of every contract, deadlines against the ledger time.
 */
import { cantonError, isCantonError } from '../ledger/canton-error.ts';
import { contractId as contractIdOf } from '../ledger/ids.ts';
import { type Contract, sortedUnion, stakeholdersOf } from './contract.ts';
import type { Choice, Scope, Template } from './template.ts';
import type { CreateNode, ExerciseNode, TransactionTree, TreeNode } from './tree.ts';
import { contractId as contractIdValue, type DamlRecord, keyOf, recordValue, unit, type Value } from './value.ts';

export type Command =
  | { readonly kind: 'create'; readonly template: Template; readonly createArguments: DamlRecord }
  | { readonly kind: 'exercise'; readonly contractId: string; readonly choice: string; readonly argument: DamlRecord }
  | {
      readonly kind: 'createAndExercise';
      readonly template: Template;
      readonly createArguments: DamlRecord;
      readonly choice: string;
      readonly argument: DamlRecord;
    };

export type ContractLookup = {
  /** @returns undefined for an id the ledger has never seen. */
  find(contractId: string): { readonly contract: Contract; readonly isActive: boolean } | undefined;
};

export type Interpretation = {
  readonly commands: readonly Command[];
  readonly actAs: readonly string[];
  readonly ledgerTimeMicros: bigint;
  /** Contract ids follow from it. */
  readonly transactionSeed: string;
  readonly contracts: ContractLookup;
  /** The template in the package version that this transaction prefers. */
  readonly template: (packageName: string, moduleName: string, entityName: string) => Template;
};

const ARCHIVE: Choice = {
  consuming: true,
  controllers: (contract) => contract.signatories,
  run: () => unit(),
};

/**
 * @returns the tree, and per command its exercise result, or the contract id of a bare create.
 * @throws CantonError as a participant refuses at interpretation: nothing happened, a definite answer.
 */
export function interpret(request: Interpretation): TransactionTree & { readonly results: readonly Value[] } {
  const run = new Interpreter(request);
  const results = request.commands.map((command) => run.command(command));
  return { ...run.tree(), results };
}

// State of one run; it never leaves `interpret`.
class Interpreter {
  readonly #request: Interpretation;
  readonly #roots: TreeNode[] = [];
  readonly #created = new Map<string, Contract>();
  readonly #archived = new Set<string>();
  readonly #inputs = new Set<string>();
  #nextNodeId = 0;
  #ledgerTimeMin: bigint | undefined;
  #ledgerTimeMax: bigint | undefined;

  constructor(request: Interpretation) {
    this.#request = request;
  }

  command(command: Command): Value {
    const authority = new Set(this.#request.actAs);
    if (command.kind === 'exercise') {
      return this.#exercise(command.contractId, command.choice, command.argument, authority, this.#roots);
    }
    const created = this.#create(command.template, command.createArguments, authority, this.#roots);
    if (command.kind === 'create') return contractIdValue(created);
    return this.#exercise(created, command.choice, command.argument, authority, this.#roots);
  }

  tree(): TransactionTree {
    return {
      roots: this.#roots,
      actAs: this.#request.actAs,
      ledgerTimeMicros: this.#request.ledgerTimeMicros,
      ledgerTimeMinMicros: this.#ledgerTimeMin,
      ledgerTimeMaxMicros: this.#ledgerTimeMax,
      created: [...this.#created.values()],
      inputs: [...this.#inputs],
      consumed: [...this.#archived],
    };
  }

  #create(
    template: Template,
    createArguments: DamlRecord,
    authority: ReadonlySet<string>,
    siblings: TreeNode[],
  ): string {
    const nodeId = this.#nextNodeId++;
    const signatories = sortedUnion(template.signatories(createArguments));
    this.#authorize(signatories, authority, `create of ${keyOf(template.templateId)}`);
    const contract: Contract = {
      contractId: contractIdOf(this.#request.transactionSeed, nodeId),
      templateId: template.templateId,
      packageName: template.packageName,
      createArguments,
      signatories,
      observers: sortedUnion(template.observers(createArguments)).filter((party) => !signatories.includes(party)),
      createdAtMicros: this.#request.ledgerTimeMicros,
      interfaces: template.interfaces.map(({ interfaceId, view }) => ({ interfaceId, view: view(createArguments) })),
    };
    this.#created.set(contract.contractId, contract);
    const node: CreateNode = { kind: 'create', nodeId, informees: stakeholdersOf(contract), contract };
    siblings.push(node);
    return contract.contractId;
  }

  #exercise(
    id: string,
    name: string,
    argument: DamlRecord,
    authority: ReadonlySet<string>,
    siblings: TreeNode[],
  ): Value {
    const nodeId = this.#nextNodeId++;
    const contract = this.#active(id);
    const choice = name === 'Archive' ? ARCHIVE : this.#templateOf(contract).choices[name];
    if (choice === undefined) {
      throw refusal(
        'INVALID_ARGUMENT',
        'invalidRequest',
        `Template ${keyOf(contract.templateId)} has no choice ${name}`,
      );
    }
    const actingParties = sortedUnion(choice.controllers(contract, argument));
    this.#authorize(actingParties, authority, `exercise of ${name} on ${id}`);
    if (choice.consuming) this.#archived.add(id);
    const choiceObservers = sortedUnion(choice.observers?.(contract, argument) ?? []);
    const children: TreeNode[] = [];
    const result = choice.run(
      this.#scope(new Set([...contract.signatories, ...actingParties]), children),
      contract,
      argument,
    );
    const node: ExerciseNode = {
      kind: 'exercise',
      nodeId,
      // Observers of the contract are only told of its archival.
      informees: sortedUnion(
        contract.signatories,
        choice.consuming ? contract.observers : [],
        actingParties,
        choiceObservers,
      ),
      contract,
      interfaceId: choice.interfaceId,
      choice: choice.name ?? name,
      argument: recordValue(argument),
      result,
      consuming: choice.consuming,
      actingParties,
      choiceObservers,
      children,
    };
    siblings.push(node);
    return result;
  }

  #fetch(id: string, authority: ReadonlySet<string>, siblings: TreeNode[]): Contract {
    const nodeId = this.#nextNodeId++;
    const contract = this.#active(id);
    const actingParties = stakeholdersOf(contract).filter((party) => authority.has(party));
    if (actingParties.length === 0) throw unauthorized(`fetch of ${id}`, stakeholdersOf(contract));
    siblings.push({
      kind: 'fetch',
      nodeId,
      informees: sortedUnion(contract.signatories, actingParties),
      contract,
      actingParties,
    });
    return contract;
  }

  #scope(authority: ReadonlySet<string>, children: TreeNode[]): Scope {
    const { ledgerTimeMicros, template } = this.#request;
    const readTime = (): bigint => {
      this.#ledgerTimeMin = ledgerTimeMicros;
      this.#ledgerTimeMax = ledgerTimeMicros;
      return ledgerTimeMicros;
    };
    return {
      // Whoever reads the clock as a value fixes the ledger time.
      get ledgerTimeMicros() {
        return readTime();
      },
      template,
      create: (of, createArguments) => this.#create(of, createArguments, authority, children),
      exercise: (id, choice, argument) => this.#exercise(id, choice, argument, authority, children),
      archive: (id) => {
        this.#exercise(id, 'Archive', { recordId: ARCHIVE_ARGUMENT, fields: [] }, authority, children);
      },
      fetch: (id) => this.#fetch(id, authority, children),
      attempt: (run) => this.#attempt(run, authority, children),
      requireBefore: (deadline, name) => {
        const last = deadline - 1n;
        if (this.#ledgerTimeMax === undefined || last < this.#ledgerTimeMax) this.#ledgerTimeMax = last;
        if (ledgerTimeMicros >= deadline) throw deadlineRefusal(`Deadline '${name}' has passed`);
      },
      requireAtOrAfter: (deadline, name) => {
        if (this.#ledgerTimeMin === undefined || deadline > this.#ledgerTimeMin) this.#ledgerTimeMin = deadline;
        if (ledgerTimeMicros < deadline) throw deadlineRefusal(`Deadline '${name}' has not passed yet`);
      },
    };
  }

  #attempt<T>(run: (scope: Scope) => T, authority: ReadonlySet<string>, siblings: TreeNode[]): T | undefined {
    const nodeId = this.#nextNodeId++;
    const children: TreeNode[] = [];
    const createdBefore = new Set(this.#created.keys());
    const archivedBefore = new Set(this.#archived);
    try {
      const result = run(this.#scope(authority, children));
      siblings.push(...children);
      return result;
    } catch (error) {
      if (!isCantonError(error)) throw error;
      for (const id of [...this.#created.keys()]) if (!createdBefore.has(id)) this.#created.delete(id);
      for (const id of [...this.#archived]) if (!archivedBefore.has(id)) this.#archived.delete(id);
      siblings.push({ kind: 'rollback', nodeId, informees: [], children });
      return undefined;
    }
  }

  #active(id: string): Contract {
    const own = this.#created.get(id);
    if (this.#archived.has(id)) throw notActive(id);
    if (own !== undefined) return own;
    const known = this.#request.contracts.find(id);
    if (known === undefined) {
      throw refusal('CONTRACT_NOT_FOUND', 'resourceMissing', `Contract could not be found with id ${id}`, id);
    }
    if (!known.isActive) throw notActive(id);
    this.#inputs.add(id);
    return known.contract;
  }

  #templateOf(contract: Contract): Template {
    return this.#request.template(contract.packageName, contract.templateId.moduleName, contract.templateId.entityName);
  }

  #authorize(required: readonly string[], authority: ReadonlySet<string>, what: string): void {
    const missing = required.filter((party) => !authority.has(party));
    if (missing.length > 0) throw unauthorized(what, missing);
  }
}

/** Type of the argument of `Archive`, the choice that every template has. */
export const ARCHIVE_ARGUMENT = {
  packageId: '9e70a8b3510d617f8a136213f33d6a903a10ca0eeec76bb06ba55d1ed9680f69', // ghc-stdlib, the same for every package.
  moduleName: 'DA.Internal.Template',
  entityName: 'Archive',
};

type Category = Parameters<typeof cantonError>[0]['category'];

function refusal(code: string, category: Category, text: string, contract?: string): Error {
  const resources = contract === undefined ? [] : [{ type: 'CONTRACT_ID', name: contract }];
  return cantonError({ code, category, text, resources, definiteAnswer: true });
}

function notActive(id: string): Error {
  return refusal('CONTRACT_NOT_ACTIVE', 'resourceMissing', `Interpretation error: contract ${id} is not active`, id);
}

function unauthorized(what: string, missing: readonly string[]): Error {
  return refusal(
    'DAML_AUTHORIZATION_ERROR',
    'invalidRequest',
    `Interpretation error: ${what} requires authorizers ${missing.join(', ')}`,
  );
}

function deadlineRefusal(text: string): Error {
  return refusal('UNHANDLED_EXCEPTION', 'invalidState', `Interpretation error: ${text}`);
}
