/**
 * From the commands of a request to those of the interpreter, and to what of the ledger they may read: the acting parties' own contracts and
 * those disclosed with the request.
 */
import { PermanentError } from '../../env/errors.ts';
import type { DisclosedContract, Command as WireCommand } from '../../gen/com/daml/ledger/api/v2/commands.ts';
import { stakeholdersOf } from '../daml/contract.ts';
import type { Command, ContractLookup } from '../daml/interpreter.ts';
import type { Template } from '../daml/template.ts';
import { typedValue } from '../daml/typed-value.ts';
import { type DamlRecord, type Identifier, recordOf, type Value } from '../daml/value.ts';
import { cantonError } from '../ledger/canton-error.ts';
import { missingField } from '../ledger/event-filter.ts';
import { matches, type PackageDirectory, type Reference } from '../ledger/package-directory.ts';
import { createdEventBlob } from '../ledger/projection.ts';
import { COMMAND_ARGUMENTS } from '../recorded/splice-types.ts';

export type CommandContext = {
  readonly packages: PackageDirectory;
  /** What the command may read. */
  readonly contracts: ContractLookup;
  readonly preferredPackages: ReadonlySet<string>;
};

/** @throws CantonError for commands that name what is not there, or carry arguments of another type. */
export function readCommand({ command }: WireCommand, context: CommandContext): Command {
  switch (command?.$case) {
    case 'exercise': {
      const { contractId, choice, choiceArgument, templateId } = command.value;
      if (contractId === '') throw missingField('contract_id');
      if (choice === '') throw missingField('choice');
      requireType(contractId, templateId, context);
      return { kind: 'exercise', contractId, choice, argument: argumentOf(choice, choiceArgument) };
    }
    case 'create':
      return {
        kind: 'create',
        template: templateOf(command.value.templateId, context),
        createArguments: labelled(command.value.createArguments, command.value.templateId),
      };
    case 'createAndExercise': {
      const { templateId, createArguments, choice, choiceArgument } = command.value;
      return {
        kind: 'createAndExercise',
        template: templateOf(templateId, context),
        createArguments: labelled(createArguments, templateId),
        choice,
        argument: argumentOf(choice, choiceArgument),
      };
    }
    default:
      throw invalid('command', 'only create, exercise and create-and-exercise commands are supported');
  }
}

/**
 * @param isVisible whether one of the acting or reading parties is a stakeholder.
 * @throws CantonError for a disclosed contract that is not what it says, or of another synchronizer.
 */
export function visibleContracts(
  all: ContractLookup,
  disclosed: readonly DisclosedContract[],
  synchronizerId: string,
  isVisible: (parties: readonly string[]) => boolean,
): ContractLookup {
  const shown = new Set<string>();
  for (const { contractId, createdEventBlob: blob, synchronizerId: from, templateId } of disclosed) {
    if (blob.length === 0) throw missingField('DisclosedContract.createdEventBlob');
    if (from !== '' && from !== synchronizerId) {
      throw cantonError({
        code: 'DISCLOSED_CONTRACTS_SYNCHRONIZER_ID_MISMATCH',
        category: 'invalidRequest',
        text: `Disclosed contract ${contractId} is on synchronizer ${from}, the submission goes to ${synchronizerId}`,
        definiteAnswer: true,
      });
    }
    const known = all.find(contractId)?.contract;
    const isGenuine =
      known !== undefined &&
      Buffer.compare(createdEventBlob(known), blob) === 0 &&
      (templateId === undefined || templateId.entityName === known.templateId.entityName);
    // An unknown one may have been pruned away: it is then found inactive, not forged.
    if (known !== undefined && !isGenuine)
      throw invalid('disclosed_contracts', `contract ${contractId} does not authenticate`);
    shown.add(contractId);
  }
  return {
    find: (contractId) => {
      const known = all.find(contractId);
      return known !== undefined && (shown.has(contractId) || isVisible(stakeholdersOf(known.contract)))
        ? known
        : undefined;
    },
  };
}

function requireType(contractId: string, id: Identifier | undefined, { packages, contracts }: CommandContext): void {
  if (id === undefined) throw missingField('template_id');
  const contract = contracts.find(contractId)?.contract;
  const reference = referenceOf(id, packages);
  if (contract === undefined) return; // The interpreter says it better.
  const isOfType = [contract.templateId, ...contract.interfaces.map(({ interfaceId }) => interfaceId)].some((type) =>
    matches(reference, type),
  );
  if (!isOfType) throw invalid('template_id', `contract ${contractId} is no ${id.moduleName}:${id.entityName}`);
}

function referenceOf(id: Identifier, packages: PackageDirectory): Reference {
  try {
    return packages.resolve(id, 'interface');
  } catch {
    // No interface of that name: then it is a template, or resolving it throws what the caller shall see.
    return packages.resolve(id, 'template');
  }
}

function templateOf(id: Identifier | undefined, { packages, preferredPackages }: CommandContext): Template {
  if (id === undefined) throw missingField('template_id');
  packages.resolve(id, 'template');
  const isByName = id.packageId.startsWith('#');
  const name = isByName ? id.packageId.slice(1) : (packages.nameOf(id.packageId) ?? '');
  const preferred = isByName ? preferredPackages : new Set([id.packageId]);
  return packages.template(preferred)(name, id.moduleName, id.entityName);
}

function argumentOf(choice: string, argument: Value | undefined): DamlRecord {
  const type = Object.hasOwn(COMMAND_ARGUMENTS, choice) ? COMMAND_ARGUMENTS[choice] : undefined;
  try {
    if (type !== undefined) return recordOf(typedValue(argument, type, 'choice_argument'));
  } catch (error) {
    if (error instanceof PermanentError) throw invalid('choice_argument', error.message);
    throw error;
  }
  return labelled(argument?.sum?.$case === 'record' ? argument.sum.value : undefined, undefined);
}

/** For types that are not described here: taken as sent, so the labels must be there. */
function labelled(source: DamlRecord | undefined, id: Identifier | undefined): DamlRecord {
  if (source === undefined) throw missingField('arguments');
  if (source.fields.some(({ label }) => label === '')) throw invalid('arguments', 'labels are needed for this type');
  return { recordId: source.recordId ?? id, fields: source.fields };
}

function invalid(field: string, text: string): Error {
  return cantonError({
    code: 'INVALID_ARGUMENT',
    category: 'invalidRequest',
    text: `The submitted request has invalid arguments: ${field}: ${text}`,
    definiteAnswer: true,
  });
}
