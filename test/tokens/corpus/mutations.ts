/** Structural damage to transactions: nodes dropped, doubled, moved and renamed, values of other types and sizes, parties and signatures exchanged. */
import type { CreatedEvent, Event, ExercisedEvent } from '../../../src/gen/com/daml/ledger/api/v2/event.ts';
import { Transaction } from '../../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import type { Record as DamlRecord, Identifier, Value } from '../../../src/gen/com/daml/ledger/api/v2/value.ts';
import {
  BURN_MINT_FACTORY_V1,
  EVENT_LOG_V2,
  HOLDING_V1,
  HOLDING_V2,
  TRANSFER_FACTORY_V1,
  TRANSFER_FACTORY_V2,
  TRANSFER_INSTRUCTION_V1,
  TRANSFER_INSTRUCTION_V2,
} from '../../../src/tokens/standard.ts';
import type { Dice } from '../../simulation/dice.ts';
import {
  contract,
  list,
  metadata,
  numeric,
  party,
  record,
  some,
  text,
  time,
  variant,
} from '../../support/transactions.ts';
import { label } from './coin-shapes.ts';
import { interfaceIdOf } from './contracts.ts';

const INTERFACES = [
  HOLDING_V1,
  HOLDING_V2,
  TRANSFER_FACTORY_V1,
  TRANSFER_FACTORY_V2,
  TRANSFER_INSTRUCTION_V1,
  TRANSFER_INSTRUCTION_V2,
  BURN_MINT_FACTORY_V1,
  EVENT_LOG_V2,
].map(interfaceIdOf);

const CHOICES = [
  'TransferFactory_Transfer',
  'TransferInstruction_Accept',
  'TransferInstruction_Reject',
  'TransferInstruction_Withdraw',
  'TransferInstruction_Update',
  'TransferRule_DirectTransfer',
  'BurnMintFactory_BurnMint',
  'EventLog_HoldingsChange',
  'Archive',
  '__proto__',
  'constructor',
  '',
];

const NUMBERS = [
  '0',
  '-1',
  '1e9',
  '',
  'NaN',
  '0.00000000001',
  `${'9'.repeat(28)}.9999999999`,
  '9'.repeat(29),
  '-0',
  ' 1',
  '0x10',
  '١',
];
const TEXTS = ['', '\u0000', '\ud800', '__proto__', 'acct-1', 'x'.repeat(10_000), 'deposit-account-id'];

/** What strangers and participants have at hand to replace things with. */
export type Stock = { readonly parties: readonly string[]; readonly contracts: readonly string[] };

export function stockOf(transaction: Transaction, extra: Stock): Stock {
  const values = transaction.events.flatMap(({ event }) => (event === undefined ? [] : [event.value]));
  const parties = values.flatMap((value) =>
    'signatories' in value ? value.signatories : 'actingParties' in value ? value.actingParties : [],
  );
  return {
    parties: [...new Set([...parties, ...extra.parties])],
    contracts: [...new Set([...values.map(({ contractId }) => contractId), ...extra.contracts])],
  };
}

/** @returns a damaged copy, as it would arrive over the wire. */
export function damaged(transaction: Transaction, dice: Dice, stock: Stock): Transaction {
  const copy = Transaction.decode(Transaction.encode(transaction).finish());
  for (let left = dice.integer(1, 4); left > 0; left -= 1) damage(copy.events, dice, stock);
  return Transaction.decode(Transaction.encode(copy).finish());
}

function damage(events: Event[], dice: Dice, stock: Stock): void {
  const index = dice.integer(0, Math.max(0, events.length - 1));
  const event = events[index];
  if (event?.event === undefined) return;
  if (dice.chance(0.3)) reshape(events, index, dice);
  else if (event.event.$case === 'created') damageCreated(event.event.value, dice, stock);
  else if (event.event.$case === 'exercised') damageExercised(event.event.value, dice, stock);
}

/** Whole nodes. */
function reshape(events: Event[], index: number, dice: Dice): void {
  const event = events[index];
  if (event?.event === undefined) return;
  const node = event.event.value;
  const someNodeId = dice.integer(-1, 30);
  dice.pick([
    () => void events.splice(index, 1),
    () => void events.splice(dice.integer(0, events.length), 0, copyOf(event)),
    () => {
      const twin = copyOf(event);
      if (twin.event) twin.event.value.nodeId = someNodeId;
      events.push(twin);
    },
    () => void events.reverse(),
    () => {
      node.nodeId = someNodeId;
    },
    () => {
      if ('lastDescendantNodeId' in node) node.lastDescendantNodeId = dice.integer(-1, 40);
    },
    () => {
      Object.assign(event, { event: undefined });
    },
    () => {
      const { contractId, templateId, nodeId } = node;
      const archived = {
        offset: 1n,
        nodeId,
        contractId,
        templateId,
        witnessParties: [],
        packageName: '',
        implementedInterfaces: [],
      };
      event.event = { $case: 'archived', value: archived };
    },
  ])();
}

function copyOf(event: Event): Event {
  const [copy] = Transaction.decode(Transaction.encode(Transaction.fromPartial({ events: [event] })).finish()).events;
  return copy ?? event;
}

function damageCreated(created: CreatedEvent, dice: Dice, stock: Stock): void {
  const [view] = created.interfaceViews;
  dice.pick([
    () => {
      created.signatories = dice.chance(0.5) ? created.signatories.slice(1) : [dice.pick(stock.parties)];
    },
    () => void created.signatories.push(dice.pick(stock.parties)),
    () => {
      created.contractId = dice.pick(stock.contracts);
    },
    () => {
      created.interfaceViews = dice.chance(0.5) ? [] : [...created.interfaceViews, ...created.interfaceViews];
    },
    () => {
      if (view) view.interfaceId = dice.pick(INTERFACES);
    },
    () => {
      if (view) view.viewStatus = { code: dice.integer(0, 16), message: 'damaged', details: [] };
    },
    () => {
      if (view) view.viewValue = undefined;
    },
    ...Array.from({ length: 5 }, () => () => {
      const viewValue = view?.viewValue;
      if (viewValue) damageRecord(viewValue, dice, stock);
    }),
  ])();
}

function damageExercised(exercised: ExercisedEvent, dice: Dice, stock: Stock): void {
  dice.pick([
    () => {
      exercised.consuming = !exercised.consuming;
    },
    () => {
      exercised.contractId = dice.pick(stock.contracts);
    },
    () => {
      exercised.choice = dice.pick(CHOICES);
    },
    () => {
      exercised.interfaceId = dice.chance(0.3) ? undefined : dice.pick(INTERFACES);
    },
    () => {
      exercised.actingParties = dice.chance(0.2) ? [] : [dice.pick(stock.parties)];
    },
    () => void exercised.actingParties.push(dice.pick(stock.parties)),
    () => {
      exercised.packageName = dice.pick(['splice-amulet', 'utility-registry-v0', 'mallory', '']);
    },
    () => {
      exercised.templateId = dice.chance(0.5) ? undefined : renamed(exercised.templateId, dice);
    },
    () => {
      exercised.exerciseResult = record({
        meta: metadata(label(dice.pick(['transfer', 'mint', 'burn', 'new']), 'damaged')),
      });
    },
    ...Array.from({ length: 4 }, () => () => {
      const value = dice.chance(0.5) ? exercised.choiceArgument : exercised.exerciseResult;
      if (value) damageValue(value, dice, stock);
    }),
  ])();
}

function renamed(identifier: Identifier | undefined, dice: Dice): Identifier {
  return {
    packageId: 'p',
    moduleName: dice.pick(['', 'Splice.Amulet', identifier?.moduleName ?? '']),
    entityName: dice.pick(['', 'Amulet']),
  };
}

/** Somewhere in a value: another type, another size, another party; a field more, less, twice or by another name. */
function damageValue(value: Value, dice: Dice, stock: Stock): void {
  const sum = value.sum;
  if (sum === undefined || dice.chance(0.3)) {
    value.sum = someValue(dice, stock).sum;
    return;
  }
  switch (sum.$case) {
    case 'record':
      damageRecord(sum.value, dice, stock);
      return;
    case 'optional':
    case 'variant':
      if (sum.value.value) damageValue(sum.value.value, dice, stock);
      else sum.value.value = someValue(dice, stock);
      return;
    case 'list': {
      const element = sum.value.elements[dice.integer(0, sum.value.elements.length)];
      if (element === undefined) sum.value.elements.push(someValue(dice, stock));
      else damageValue(element, dice, stock);
      return;
    }
    case 'textMap': {
      const entry = sum.value.entries[dice.integer(0, sum.value.entries.length)];
      if (entry?.value) damageValue(entry.value, dice, stock);
      else sum.value.entries.push({ key: dice.pick(TEXTS), value: someValue(dice, stock) });
      return;
    }
    default:
      value.sum = (dice.chance(0.7) ? sameType(sum, dice, stock) : someValue(dice, stock)).sum;
  }
}

function damageRecord(damagedRecord: DamlRecord, dice: Dice, stock: Stock): void {
  const { fields } = damagedRecord;
  const index = dice.integer(0, Math.max(0, fields.length - 1));
  const field = fields[index];
  if (field === undefined) return;
  if (dice.chance(0.6) && field.value) {
    damageValue(field.value, dice, stock);
    return;
  }
  dice.pick([
    () => void fields.splice(index, 1),
    () => void fields.push({ label: 'aFieldOfTheFuture', value: someValue(dice, stock) }),
    () => void fields.push({ label: field.label, value: someValue(dice, stock) }),
    () => {
      field.label = dice.pick(['', '__proto__', fields[0]?.label ?? '']);
    },
    () => {
      field.value = undefined;
    },
    () => void fields.reverse(),
  ])();
}

function sameType(sum: NonNullable<Value['sum']>, dice: Dice, stock: Stock): Value {
  switch (sum.$case) {
    case 'numeric':
      return numeric(dice.pick(NUMBERS));
    case 'party':
      return party(dice.pick(stock.parties));
    case 'contractId':
      return contract(dice.pick(stock.contracts));
    case 'text':
      return text(dice.pick(TEXTS));
    case 'timestamp':
      return time(dice.pick([0n, -1n, 2n ** 63n - 1n]));
    default:
      return someValue(dice, stock);
  }
}

function someValue(dice: Dice, stock: Stock): Value {
  return dice.pick<() => Value>([
    () => ({ sum: undefined }),
    () => text(dice.pick(TEXTS)),
    () => numeric(dice.pick(NUMBERS)),
    () => party(dice.pick(stock.parties)),
    () => contract(dice.pick(stock.contracts)),
    () => time(0n),
    () => some(),
    () => some(party(dice.pick(stock.parties))),
    () => list([text('')]),
    () => record({}),
    () => variant('TransferInstructionResult_Completed', record({})),
    () => metadata({ __proto__: 'x' }),
    () => ({ sum: { $case: 'int64', value: 2n ** 63n - 1n } }),
    () => ({ sum: { $case: 'bool', value: true } }),
    () => nested(dice.integer(1, 30)), // Beyond fifty the generated decoder gives up; that is ingestion's to handle.,
  ])();
}

function nested(depth: number): Value {
  let value: Value = record({});
  for (let left = depth; left > 0; left -= 1) value = some(value);
  return value;
}
