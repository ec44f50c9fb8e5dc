/**
 * Offers to the treasury that Sluice accepts by itself, for customers whose memo it knows, and the people who decide about some of them: leave it alone, give it back, try it now. Senders take offers back, and
 * the treasury's own wallet ends some, while attempts of ours are under way.
 */
import type pg from 'pg';
import { OUTBOX_CHANNEL } from '../../src/db/event-log.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { runAcceptance } from '../../src/deposits/acceptance/acceptance.ts';
import { OfferRefusal } from '../../src/deposits/acceptance/offer-refusal.ts';
import { createOfferRequests } from '../../src/deposits/acceptance/offer-requests.ts';
import type { OfferRules } from '../../src/deposits/acceptance/offer-rules.ts';
import { isCleared } from '../../src/deposits/screening-gate.ts';
import type { Network } from '../../src/simnet/network.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import type { Payouts } from './payouts.ts';
import { actThrough } from './people.ts';
import type { Life } from './process.ts';
import type { Screenings } from './screenings.ts';
import type { Extension } from './serve-loop.ts';
import { named } from './server-sessions.ts';
import { ACCEPT, type Traffic } from './traffic.ts';
import type { Truth } from './truth.ts';
import { must } from './violation.ts';

export type Acceptances = {
  /** What every process runs for it. */
  readonly extension: Extension;
  /** @throws Violation. */
  afterCommit(observer: pg.Client): Promise<void>;
  /** The database went back. */
  wentBack(): void;
  /** Whether nothing is left to be accepted, as of the newest commit. */
  isAtRest(): boolean;
  /** @throws Violation. */
  atRest(observer: pg.Client): Promise<void>;
  /** For the report of a schedule that does not come to rest. */
  describe(): unknown;
};

type Row = {
  readonly id: string;
  readonly choice: 'ACCEPT' | 'REJECT';
  readonly state: 'QUEUED' | 'IN_FLIGHT' | 'PARKED' | 'DONE' | 'ENDED';
  readonly reason: string | null;
  readonly contractId: string;
  readonly openAttempts: number;
  /** What the screening service said no to: it waits for people. */
  readonly isDenied: boolean;
};

type View = {
  readonly actions: readonly Row[];
  /** Offers for somebody that nobody has found yet. */
  readonly unfound: number;
  /** Offers that several open attempts are to accept. */
  readonly promised: number;
};

const PAUSE_MS_MAX = 300;
/** Why an offer is parked that nobody can accept any more. */
const TOO_LATE = 'DEADLINE_PASSED';
/** What people want of an offer, by how often. */
const WISHES = ['park', 'park', 'unpark', 'retryNow', 'retryNow', 'requestRejection', 'requestAcceptance'] as const;
/** More of them than a schedule has. */
const PLENTY = 1_000;

const VIEW = `
  SELECT (SELECT coalesce(json_agg(x), '[]') FROM (
      SELECT a.id, a.choice, a.state, a.reason,
             (SELECT i.contract_id FROM transfer_instruction i WHERE i.transfer_id = a.transfer_id ORDER BY i.created_record_time DESC LIMIT 1) AS "contractId",
             (SELECT count(*)::int FROM submission s JOIN attempt t ON t.submission_id = s.id WHERE s.offer_action_id = a.id AND t.state = 'OPEN') AS "openAttempts",
             EXISTS (SELECT FROM screening s WHERE s.transfer_id = a.transfer_id AND s.state = 'DENIED') AS "isDenied"
      FROM offer_action a ORDER BY a.id
    ) AS x) AS actions,
    (SELECT count(*)::int FROM transfer_instruction i JOIN instrument k ON k.id = i.instrument_id AND k.is_accepted
     JOIN deposit_account d ON d.memo = i.memo
     WHERE i.direction = 'IN' AND i.ended_update_id IS NULL AND i.execute_before > (SELECT max(record_time) FROM synchronizer_time WHERE starts_with(synchronizer_id, 'global-domain::')) AND NOT EXISTS (SELECT FROM offer_action a WHERE a.transfer_id = i.transfer_id)) AS unfound,
    (SELECT count(*)::int FROM (
      SELECT FROM attempt t JOIN submission s ON s.id = t.submission_id AND s.purpose = 'OFFER'
      JOIN reservation r ON r.submission_id = t.submission_id AND r.number = t.number
      WHERE t.state = 'OPEN' GROUP BY r.contract_id HAVING count(*) > 1) AS twice) AS promised`;

export function createAcceptances({
  network,
  truth,
  traffic,
  payouts,
  screenings,
  faults,
  dice,
  marks,
}: {
  readonly network: Network;
  readonly truth: Truth;
  readonly traffic: Traffic;
  readonly payouts: Payouts;
  readonly screenings: Pick<Screenings, 'sinceOf'>;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
}): Acceptances {
  const isOn = faults.isDrawn('acceptances');
  const rules: Omit<OfferRules, 'isCleared'> = {
    limits: { ...payouts.limits, triesMax: dice.pick([1, 3]) },
    triesMax: dice.pick([1, 3]),
    backoffMsMin: 500,
    backoffMsMax: 2_000,
    budget: { all: PLENTY, perInstrument: PLENTY, perAccount: PLENTY, perSender: PLENTY },
  };
  const ends = new Map<string, string>();
  let newest: View = { actions: [], unfound: 0, promised: 0 };

  const offersIn = async ({ db }: Life, states: readonly Row['state'][]) =>
    await db
      .selectFrom('offer_action')
      .select(['transfer_id as transferId', 'choice', 'state', 'reason'])
      .where('state', 'in', states)
      .orderBy('id')
      .execute();
  const decide = async (life: Life): Promise<void> => {
    const requests = createOfferRequests(life);
    const wish = (transferId: string) => ({ transferId, by: 'operator-1', why: 'looked at' });
    if (faults.isOver()) {
      for (const { transferId, reason } of await offersIn(life, ['PARKED'])) {
        if (reason === TOO_LATE) continue;
        await requests.retryNow(wish(transferId));
        marks.add('parked offer tried again');
      }
      return;
    }
    if (!faults.strikes('acceptances')) return;
    const open = await offersIn(life, ['QUEUED', 'IN_FLIGHT', 'PARKED']);
    if (open.length === 0) return;
    const { transferId } = dice.pick(open);
    const what = dice.pick(WISHES);
    await requests[what](wish(transferId));
    marks.add(`people about an offer: ${what}`);
  };
  const people = async (life: Life): Promise<void> => {
    await actThrough(life, {
      pauseMsMax: PAUSE_MS_MAX,
      act: async () => await decide(life),
      // Or the offer has just ended.
      isAnswer: (error) => {
        if (!(error instanceof OfferRefusal)) return false;
        marks.add(`people about an offer: ${error.code}`);
        return true;
      },
    });
  };

  const checkRow = ({ id, choice, state, reason, contractId, openAttempts }: Row): void => {
    const end = ends.get(id);
    must(end === undefined || end === state, 'what is final stays as it is', { id, was: end, is: state });
    must(openAttempts === (state === 'IN_FLIGHT' ? 1 : 0), 'an attempt is open exactly while in flight', {
      id,
      state,
      openAttempts,
    });
    if (state !== 'DONE' && state !== 'ENDED') return;
    const isReplaced = reason === 'REPLACED';
    // Whoever wanted something else of the offer may change his mind again.
    if (!isReplaced) ends.set(id, state);
    const wanted = choice === 'ACCEPT' ? ACCEPT : 'TransferInstruction_Reject';
    const found = truth.endOf(contractId);
    must(isReplaced || found !== null, 'an offer that counts as ended has ended', { id, state, reason });
    must(
      isReplaced || (state === 'DONE') === (found === wanted),
      'what was wanted of an offer counts as done if it was',
      {
        id,
        choice,
        state,
        found,
      },
    );
  };

  return {
    afterCommit: async (observer) => {
      if (!isOn) return;
      const { rows } = await observer.query<View>({ name: 'offers', text: VIEW });
      const [view] = rows;
      if (view === undefined) return;
      newest = view;
      must(view.promised === 0, 'an offer is promised to one open attempt', {});
      for (const row of view.actions) checkRow(row);
    },

    wentBack: () => {
      ends.clear();
    },

    isAtRest: () =>
      !isOn ||
      (newest.unfound === 0 &&
        newest.actions.every(
          ({ state, reason, isDenied }) =>
            state === 'DONE' ||
            state === 'ENDED' ||
            (state === 'PARKED' && reason === TOO_LATE) ||
            (state !== 'IN_FLIGHT' && isDenied),
        )),

    atRest: async (observer) => {
      if (!isOn) return;
      for (const { instructionCid, deposit, expiresAt } of traffic.offers()) {
        const end = truth.endOf(instructionCid);
        const isDenied = newest.actions.some((action) => action.contractId === instructionCid && action.isDenied);
        must(
          end !== null || deposit.customer === null || expiresAt !== null || isDenied,
          'every offer to somebody whom we know has come to its end',
          {
            instructionCid,
            isActive: network.ledger.contracts.find(instructionCid)?.isActive,
          },
        );
      }
      const { rows } = await observer.query<{ choice: string; state: string; reason: string | null; times: number }>(
        named(`SELECT a.choice, a.state, a.reason, (SELECT count(*)::int FROM submission s JOIN attempt t ON t.submission_id = s.id WHERE s.offer_action_id = a.id) AS times
          FROM offer_action a`),
      );
      for (const { choice, state, reason, times } of rows)
        marks.add(`offer: ${choice} ${state}${reason === null ? '' : ` ${reason}`} after ${times} attempts`);
    },

    describe: () => (isOn ? newest : undefined),

    extension: {
      loop: async (life, treasury) => {
        if (!isOn) return;
        const wakeUp = createWakeUp(life.lazyClock);
        const unlisten = life.notifications.listen(OUTBOX_CHANNEL, wakeUp.wake);
        await Promise.all([
          people(life),
          runAcceptance({
            ...life,
            ...(life.history !== null && { log: life.history.memory }),
            clock: life.lazyClock,
            treasury,
            rules: { ...rules, isCleared: (offer) => isCleared(offer, screenings.sinceOf(life)) },
            ...payouts.outsideOf(life, () => undefined),
            wakeUp,
          }).finally(unlisten),
        ]);
      },
    },
  };
}
