/**
 * Random ledgers made of the shapes of the corpus: who holds what, which offers are open, and what happens next. Anything may be nested in anything, done by
 * anybody, and repeated; what is spent is spent once. Histories have holes, and some of the actors lie.
 */
import type { Instrument } from '../../../src/tokens/transfer-record.ts';
import type { Dice } from '../../simulation/dice.ts';
import { metadata, record, transferValue } from '../../support/transactions.ts';
import {
  coinAccept,
  coinBurn,
  coinDirect,
  coinDust,
  coinMerge,
  coinOffer,
  coinReturn,
  coinTap,
  type Ended,
  type Generation,
  label,
  report,
  type Sent,
} from './coin-shapes.ts';
import {
  ADMIN,
  ALICE,
  archive,
  BOB,
  COIN,
  doing,
  FAKE,
  holding,
  ISSUER,
  MALLORY,
  NOTE,
  type Offered,
  type Output,
  offer,
  outcome,
  TREASURY,
  USDCX,
  VAULT,
  type Views,
} from './contracts.ts';
import {
  batched,
  burnMint,
  noteAccept,
  noteDirect,
  noteOffer,
  plainReturn,
  posing,
  proxied,
  replaced,
  secondDirect,
  secondEnd,
  utilityAccept,
  utilityBurn,
  utilityDirect,
  utilityMint,
  utilityOffer,
} from './registry-shapes.ts';
import { after, type Tree } from './tree.ts';

const PARTIES = [TREASURY, TREASURY, VAULT, ALICE, BOB, MALLORY] as const;
const INSTRUMENTS = [COIN, COIN, USDCX, NOTE, FAKE] as const;
const MEMOS = ['acct-1', 'acct-2', '', 'mallory', null] as const;
const LABELS = ['transfer', 'mint', 'burn', 'merge-split', 'expire-dust', 'unlock', 'of-the-future'] as const;
const VIEWS: readonly Views[] = ['V1', 'V2', 'BOTH'];
const GENERATIONS: readonly Generation[] = ['old', 'new'];
const ONE = 10n ** 10n;
const UNITS_MAX = 10n ** 38n - 1n;

type Held = { readonly cid: string; readonly owner: string; readonly units: bigint; readonly instrument: Instrument };
type Open = Offered & { readonly cid: string; readonly locked: string | undefined; readonly instrument: Instrument };

export type World = { /** What happens in the next transaction. */ next(): readonly Tree[] };

export function createWorld(dice: Dice): World {
  const held: Held[] = [];
  const open: Open[] = [];
  let count = 0;
  const newCid = (what: string) => {
    count += 1;
    return `00${what}${count}`;
  };

  const amountOf = (units: bigint) => `${units / ONE}.${(units % ONE).toString().padStart(10, '0')}`;
  const someUnits = () =>
    dice.chance(0.03) ? UNITS_MAX : BigInt(dice.integer(1, 500)) * (dice.chance(0.2) ? 1n : ONE);
  const output = (what: string, owner: string, units: bigint, instrument: Instrument): Output => {
    const cid = newCid(what);
    held.push({ cid, owner, units, instrument });
    return { cid, amount: amountOf(units) };
  };
  /** Takes holdings out of the world; now and then ones that nobody has heard of. */
  const spend = (owner: string, instrument: Instrument): { cids: string[]; units: bigint } => {
    const cids: string[] = [];
    let units = 0n;
    for (let wanted = dice.integer(1, 3); wanted > 0; wanted -= 1) {
      const index = held.findIndex(
        (candidate) => candidate.owner === owner && candidate.instrument === instrument && dice.chance(0.7),
      );
      const [taken] = index < 0 ? [] : held.splice(index, 1);
      if (taken === undefined) continue;
      cids.push(taken.cid);
      units += taken.units;
    }
    if (cids.length === 0 || dice.chance(0.05)) {
      cids.push(newCid('before'));
      units += someUnits();
    }
    return { cids, units };
  };
  const party = () => dice.pick(PARTIES);
  const offeredOf = (instrument: Instrument, units: bigint): Offered => {
    const memo = dice.pick(MEMOS);
    const sender = dice.chance(0.05) ? instrument.admin : party();
    const receiver = dice.chance(0.1) ? sender : party();
    return { sender, receiver, amount: amountOf(units), instrument, ...(memo === null ? {} : { memo }) };
  };

  const sentOf = (instrument: Instrument): Sent => {
    const draft = offeredOf(instrument, 0n);
    const { cids, units } = spend(draft.sender, instrument);
    const bounded = units > UNITS_MAX ? UNITS_MAX : units;
    const amount = dice.chance(0.3) ? bounded : bounded / BigInt(dice.integer(2, 9)) + 1n;
    const fee = dice.chance(0.1) ? (bounded - amount) / 7n : 0n;
    const rest = bounded - amount - fee;
    return {
      ...draft,
      amount: amountOf(amount),
      inputs: cids,
      output: output('out', draft.receiver, amount, instrument).cid,
      views: dice.pick(VIEWS),
      ...(rest > 0n ? { change: output('change', draft.sender, rest, instrument) } : {}),
    };
  };
  const openOffer = (
    instrument: Instrument,
    make: (made: Sent & { locked: Output; cid: string }) => Tree,
    isKept = false,
  ): Tree => {
    const draft = offeredOf(instrument, 0n);
    const { cids, units } = spend(draft.sender, instrument);
    const amount = amountOf(units > UNITS_MAX ? UNITS_MAX : units);
    const cid = newCid('offer');
    const locked = { cid: newCid('lock'), amount };
    open.push({ ...draft, amount, instrument, cid, locked: isKept ? undefined : locked.cid });
    return make({ ...draft, amount, inputs: cids, output: '', locked, cid });
  };
  /** Takes an open offer out of the world; now and then one from before, or of something else than it is ended as. */
  const endOffer = (instrument: Instrument): Ended => {
    const index = open.findIndex((candidate) => candidate.instrument === instrument && dice.chance(0.8));
    const [taken] = index < 0 ? [] : open.splice(index, 1);
    const ended = taken ?? { ...offeredOf(instrument, someUnits()), cid: newCid('earlier'), locked: undefined };
    return { ...ended, locked: ended.locked ?? newCid('before'), unlocked: newCid('free') };
  };
  /** What somebody gets of the end of an offer. */
  const paidTo = (owner: string, { amount, instrument = COIN }: Ended): Output =>
    output('got', owner, BigInt(amount.replace('.', '')), instrument);
  const accepted = (instrument: Instrument): Ended & { output: string } => {
    const ended = endOffer(instrument);
    return { ...ended, output: paidTo(ended.receiver, ended).cid };
  };

  const pieces: readonly (() => Tree)[] = [
    () => coinDirect(dice.pick(GENERATIONS), sentOf(COIN)),
    () => coinDirect(dice.pick(GENERATIONS), sentOf(COIN)),
    () => coinMerge(dice.pick(GENERATIONS), self(sentOf(COIN))),
    () => openOffer(COIN, (made) => coinOffer(dice.pick(GENERATIONS), made)),
    () => coinAccept(dice.pick(GENERATIONS), accepted(COIN)),
    () =>
      coinReturn(dice.pick(GENERATIONS), dice.pick(['Reject', 'Withdraw', 'Update']), endOffer(COIN), {
        isGone: dice.chance(0.3),
      }),
    () => coinTap(...minted(COIN)),
    () => {
      const owner = party();
      return coinBurn(owner, spend(owner, COIN).cids[0] ?? '');
    },
    () => {
      const owner = party();
      return coinDust(owner, spend(owner, COIN).cids[0] ?? '');
    },
    () => utilityDirect(sentOf(USDCX), { isInterposed: dice.chance(0.5) }),
    () => openOffer(USDCX, utilityOffer),
    () => utilityAccept(accepted(USDCX), dice.pick(['TransferRule_Transfer', 'TransferRule_TwoStepTransfer'])),
    () => utilityMint(...minted(USDCX), USDCX),
    () => {
      const owner = party();
      return utilityBurn(owner, spend(owner, USDCX).cids[0] ?? '');
    },
    () => {
      const instrument = dice.pick(INSTRUMENTS);
      const [owner, made] = minted(instrument);
      return burnMint(owner, dice.chance(0.5) ? spend(owner, instrument).cids : [], [made], instrument);
    },
    () => noteDirect(sentOf(NOTE), { isLabelled: dice.chance(0.7) }),
    () => noteDirect(sentOf(dice.pick(INSTRUMENTS))),
    () => openOffer(NOTE, noteOffer),
    () => openOffer(dice.pick([NOTE, FAKE]), ({ locked: _locked, ...made }) => noteOffer(made), true),
    () => {
      const { locked, ...ended } = accepted(dice.pick([NOTE, FAKE]));
      return noteAccept({ ...ended, ...(dice.chance(0.5) ? { locked } : {}) });
    },
    () => {
      const ended = endOffer(dice.pick(INSTRUMENTS));
      return plainReturn(
        dice.pick(['Reject', 'Withdraw', 'Update']),
        ended,
        dice.chance(0.6) ? paidTo(ended.sender, ended) : undefined,
      );
    },
    () => {
      const { cid, sender, receiver, instrument = COIN } = endOffer(dice.pick(INSTRUMENTS));
      const informed = [sender, receiver];
      return doing({ cid, consuming: true, choice: 'Ticket_Void', acting: [instrument.admin], informed }, []);
    },
    evolve,
    () => secondDirect(sentOf(dice.pick([NOTE, FAKE]))),
    () => openOffer(NOTE, (made) => offer(made.cid, made, { views: dice.pick(VIEWS) })),
    () => {
      const choice = dice.pick(['Accept', 'Reject', 'Withdraw'] as const);
      const ended = endOffer(NOTE);
      const { cid } = paidTo(choice === 'Accept' ? ended.receiver : ended.sender, ended);
      return secondEnd(choice, { ...ended, output: cid }, { callsFirst: dice.chance(0.5) });
    },
    () => {
      const instrument = dice.pick(INSTRUMENTS);
      const owner = party();
      return archive(owner, spend(owner, instrument).cids[0] ?? '', instrument.admin);
    },
    () => {
      const owner = party();
      const instrument = dice.pick(INSTRUMENTS);
      const passing = { cid: newCid('passing'), amount: amountOf(someUnits()) };
      return batched(MALLORY, [
        holding(owner, passing, { instrument }),
        bare(),
        archive(owner, passing.cid, instrument.admin),
      ]);
    },
    // A second factory names the offer of the first, and brings tokens of its own.
    () =>
      openOffer(NOTE, (made) => {
        const result = outcome({ pending: made.cid });
        const gift = holding(made.sender, output('gift', made.sender, someUnits(), NOTE), { instrument: NOTE });
        const argument = record({ transfer: transferValue(made) });
        return batched(made.sender, [
          noteOffer(made),
          doing({ on: 'factory', choice: 'TransferFactory_Transfer', acting: [made.sender], argument, result }, [gift]),
        ]);
      }),
    // A report of more, less or just what came.
    () => {
      const instrument = dice.pick(INSTRUMENTS);
      const [owner, made] = minted(instrument);
      const amount = dice.pick([made.amount, '1', '400']);
      const leg = { side: 'ReceiverSide', otherside: ISSUER, amount } as const;
      return batched(ADMIN, [holding(owner, made, { instrument }), report(owner, [], [made.cid], [leg], instrument)]);
    },
    bare,
    liar,
    liar,
  ];

  function self(sent: Sent): Sent {
    return { ...sent, receiver: sent.sender };
  }
  function minted(instrument: Instrument): [string, Output] {
    const owner = party();
    return [owner, output('new', owner, someUnits(), instrument)];
  }
  function evolve(): Tree {
    const { cid: from, ...offered } = endOffer(dice.pick([NOTE, USDCX, FAKE]));
    const to = newCid('offer');
    const instrument = dice.chance(0.1) ? COIN : (offered.instrument ?? NOTE);
    const next = { ...offered, instrument };
    const isTaken = dice.chance(0.3);
    open.push({ ...next, cid: to, locked: isTaken ? undefined : offered.locked });
    const below = isTaken ? [archive(offered.sender, offered.locked, instrument.admin)] : [];
    return replaced(dice.pick(['Accept', 'Update']), from, to, next, {
      below,
      ...(dice.chance(0.2) ? { original: newCid('earlier') } : {}),
    });
  }
  /** Contracts without any exercise that explains them, some of them forged or unreadable. */
  function bare(): Tree {
    const instrument = dice.pick(INSTRUMENTS);
    const [owner, made] = minted(instrument);
    const signatories = dice.chance(0.3) ? [MALLORY] : [instrument.admin, owner];
    const amount = dice.pick([made.amount, made.amount, made.amount, '0', '-1', 'nothing']);
    const options = { instrument, views: dice.pick(VIEWS), signatories };
    if (dice.chance(0.3)) return offer(newCid('offer'), { ...offeredOf(instrument, 1n), amount }, options);
    return holding(owner, { ...made, amount }, options);
  }
  /** A choice of the standard by name, whose words and children have nothing to do with each other. */
  function liar(): Tree {
    const instrument = dice.pick(INSTRUMENTS);
    const said = offeredOf(dice.pick(INSTRUMENTS), someUnits());
    const consumed = open[0]?.cid;
    const acting = dice.pick([[MALLORY], [party()], [instrument.admin], [ADMIN, party()]]);
    const result = dice.pick([
      outcome('Completed', label(dice.pick(LABELS), 'lied', party())),
      outcome('Failed'),
      outcome({ pending: dice.pick(open.map(({ cid }) => cid).concat('00nothing')) }),
      record({ meta: metadata(label(dice.pick(LABELS), 'lied')) }),
      record({}),
    ]);
    const argument = record({ transfer: transferValue(said) });
    const children = () => some(3).flatMap((piece) => (dice.chance(0.5) ? [piece] : [bare(), piece]));
    return dice.pick([
      () => doing({ on: 'factory', choice: 'TransferFactory_Transfer', acting, argument, result }, children()),
      () => doing({ interfaceV2: 'factory', choice: 'TransferFactory_Transfer', acting, argument, result }, children()),
      () =>
        doing(
          {
            packageName: dice.pick(['utility-registry-v0', 'mallorys-package']),
            module: 'Utility.Registry.V0.Rule.Transfer',
            entity: 'TransferRule',
            choice: 'TransferRule_DirectTransfer',
            acting,
            argument,
            result,
          },
          children(),
        ),
      () =>
        doing(
          {
            ...(consumed === undefined ? {} : { cid: consumed }),
            interfaceV2: 'instruction',
            choice: 'TransferInstruction_Accept',
            acting,
            result,
          },
          children(),
        ),
      () => report(party(), ['00nothing'], [], [{ side: 'ReceiverSide', otherside: ISSUER, amount: '1' }], instrument),
    ])();
  }

  let depth = 0;
  function piece(): Tree {
    depth += 1;
    const isDeep = depth > 3;
    const tree = isDeep || dice.chance(0.7) ? dice.pick(isDeep ? pieces.slice(0, -2) : pieces)() : wrapped();
    depth -= 1;
    return dice.chance(0.2) ? after(dice.integer(1, 3), tree) : tree;
  }
  function wrapped(): Tree {
    const actor = party();
    return dice.pick([
      () => proxied(actor, piece()),
      () => batched(actor, some(3)),
      () => posing(actor, some(2), dice.pick(MEMOS) ?? 'none', dice.pick(LABELS)),
      () => posing(dice.pick([ADMIN, ISSUER, MALLORY]), some(2), 'posing', dice.pick(LABELS)),
    ])();
  }
  function some(most: number): Tree[] {
    return Array.from({ length: dice.integer(1, most) }, piece);
  }
  return { next: () => some(3) };
}
