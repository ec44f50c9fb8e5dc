import { expect, test } from 'vitest';
import { isCantonError } from '../ledger/canton-error.ts';
import type { Contract } from './contract.ts';
import { type Command, type Interpretation, interpret } from './interpreter.ts';
import type { Choice, Template } from './template.ts';
import { flatten } from './tree.ts';
import { identifier, list, partiesField, party, record, unit } from './value.ts';

const id = (entity: string) => identifier('pkg', 'Main', entity);
const boxArguments = (...signatories: string[]) => record(id('Box'), { signatories: list(signatories.map(party)) });

/** Signed by whoever its argument names; its choices are given by each test. */
const boxOf = (choices: Template['choices'] = {}): Template => ({
  templateId: id('Box'),
  packageName: 'main',
  signatories: (args) => partiesField(args, 'signatories'),
  observers: () => ['watcher'],
  interfaces: [],
  choices,
});

const choice = (run: Choice['run'], controllers: readonly string[] = ['alice'], consuming = false): Choice => ({
  consuming,
  controllers: () => controllers,
  run,
});

function interpretWith(template: Template, request: Partial<Interpretation> & { commands: readonly Command[] }) {
  return interpret({
    actAs: ['alice'],
    ledgerTimeMicros: 1_000n,
    transactionSeed: 'seed',
    contracts: { find: () => undefined },
    template: () => template,
    ...request,
  });
}

const createAndDo = (template: Template, signatories: string[] = ['alice']): Command => ({
  kind: 'createAndExercise',
  template,
  createArguments: boxArguments(...signatories),
  choice: 'Do',
  argument: record(id('Do'), {}),
});

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    if (isCantonError(error)) return error.code;
    throw error;
  }
  return undefined;
}

test('a create needs all signatories, an exercise all controllers', () => {
  const box = boxOf({ Do: choice(() => unit(), ['alice', 'bob']) });

  expect(
    codeOf(() =>
      interpretWith(box, { commands: [{ kind: 'create', template: box, createArguments: boxArguments('bob') }] }),
    ),
  ).toBe('DAML_AUTHORIZATION_ERROR');
  expect(codeOf(() => interpretWith(box, { commands: [createAndDo(box)] }))).toBe('DAML_AUTHORIZATION_ERROR');
  expect(codeOf(() => interpretWith(box, { commands: [createAndDo(box)], actAs: ['alice', 'bob'] }))).toBeUndefined();
});

test("below a choice there is the authority of the contract's signatories and of the actors, and of nobody else", () => {
  const box = boxOf({
    Do: choice(
      (scope) => {
        scope.create(box, boxArguments('alice', 'bob'));
        return unit();
      },
      ['alice'],
    ),
  });

  const contract: Contract = {
    contractId: '00aa',
    templateId: box.templateId,
    packageName: 'main',
    createArguments: boxArguments('bob'),
    signatories: ['bob'],
    observers: ['watcher'],
    createdAtMicros: 0n,
    interfaces: [],
  };
  const contracts = { find: () => ({ contract, isActive: true }) };
  const exercise: Command = { kind: 'exercise', contractId: '00aa', choice: 'Do', argument: record(id('Do'), {}) };

  expect(codeOf(() => interpretWith(box, { commands: [exercise], contracts }))).toBeUndefined();
  expect(codeOf(() => interpretWith(box, { commands: [createAndDo(box)] }))).toBe('DAML_AUTHORIZATION_ERROR');
});

test('informees: observers of a contract learn of its creation and archival, not of other choices', () => {
  const box = boxOf({ Do: choice(() => unit(), ['alice']), End: choice(() => unit(), ['alice'], true) });
  const commands = [createAndDo(box), { ...createAndDo(box), choice: 'End' } as Command];

  const nodes = flatten(interpretWith(box, { commands }));

  expect(
    nodes.map((node) => [node.nodeId, node.kind === 'exercise' ? node.choice : node.kind, node.witnesses]),
  ).toEqual([
    [0, 'create', ['alice', 'watcher']],
    [1, 'Do', ['alice']],
    [2, 'create', ['alice', 'watcher']],
    [3, 'End', ['alice', 'watcher']],
  ]);
});

test('what is refused inside a try is undone, and its node ids are gone', () => {
  const box = boxOf({
    Do: choice((scope, { contractId }) => {
      const result = scope.attempt((inner) => {
        inner.create(box, boxArguments('alice'));
        inner.archive(contractId);
        inner.fetch('00missing');
      });
      expect(result).toBeUndefined();
      scope.create(box, boxArguments('alice'));
      return unit();
    }),
  });

  const tree = interpretWith(box, { commands: [createAndDo(box)] });

  expect(tree.consumed).toEqual([]);
  expect(tree.created.length).toBe(2);
  expect(flatten(tree).map(({ nodeId, kind, lastDescendantNodeId }) => [nodeId, kind, lastDescendantNodeId])).toEqual([
    [0, 'create', 0],
    [1, 'exercise', 6],
    [2, 'hidden', 4],
    [6, 'create', 6],
  ]);
});

test('deadlines that choices check bound the ledger time, inclusive', () => {
  const box = boxOf({
    Do: choice((scope) => {
      scope.requireAtOrAfter(500n, 'from');
      scope.requireAtOrAfter(400n, 'earlier');
      scope.requireBefore(2_000n, 'until');
      scope.requireBefore(1_500n, 'sooner');
      return unit();
    }),
  });

  const tree = interpretWith(box, { commands: [createAndDo(box)] });

  expect([tree.ledgerTimeMinMicros, tree.ledgerTimeMaxMicros]).toEqual([500n, 1_499n]);
  expect(codeOf(() => interpretWith(box, { commands: [createAndDo(box)], ledgerTimeMicros: 1_500n }))).toBe(
    'UNHANDLED_EXCEPTION',
  );
});

test('contract ids follow from the seed alone', () => {
  const box = boxOf();
  const create: Command = { kind: 'create', template: box, createArguments: boxArguments('alice') };
  const idOf = (transactionSeed: string) =>
    interpretWith(box, { commands: [create], transactionSeed }).created[0]?.contractId;

  expect(idOf('a')).toBe(idOf('a'));
  expect(idOf('a')).not.toBe(idOf('b'));
  expect(idOf('a')).toMatch(/^00[0-9a-f]{64}ca111220[0-9a-f]{64}$/);
});
