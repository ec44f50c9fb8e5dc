/**
 * What a participant does wrong with submissions, on demand: answers that get lost, submissions that are never sequenced or twice, prepared
 * transactions that are not what was asked for, completions that are not true. Everything is either counted (the next n) or drawn with a
 * share from the participant's own seeded randomness.
 */
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import { cantonError, type Refusal } from '../ledger/canton-error.ts';

/** The next `next` occasions, or each one with the probability `share` until it is set again. */
export type HowOften = { readonly next: number } | { readonly share: number };

export type PrepareLie =
  /** Full party id that gets the amount instead. */
  | { readonly kind: 'receiver'; readonly receiver: string }
  /** Decimal. */
  | { readonly kind: 'amount'; readonly amount: string }
  /** Another hash than that of the transaction shown. */
  | { readonly kind: 'hash' }
  /** Another bound than was asked for; undefined: none at all. */
  | { readonly kind: 'maxRecordTime'; readonly micros: bigint | undefined }
  /** One more archival below the root, of an input. Nobody would confirm it. */
  | { readonly kind: 'extraNode' };

export type CompletionLie =
  /** Success for what failed and failure for what succeeded. */
  | 'inverted'
  | 'missing'
  /** Names another command. */
  | 'otherCommand';

/** What a participant says of a command that it has never seen before. */
export type DeduplicationLie = {
  /** The refusal of an execute; `forgotten`: a command that it has seen before is taken for a new one. */
  readonly lie: 'DUPLICATE_COMMAND' | 'SUBMISSION_ALREADY_IN_FLIGHT' | 'forgotten';
  /** Whether what is refused is submitted all the same; not, when left out. */
  readonly isTaken?: boolean;
};

export type SubmissionFaultSettings = {
  /** The work is done, then UNAVAILABLE is answered. */
  readonly losePrepareAnswers?: HowOften;
  readonly loseExecuteAnswers?: HowOften;
  /** Whether a lost answer is an error or no answer at all, until the caller gives up. */
  readonly lostAnswerIs?: 'unavailable' | 'silence';
  /** Answered OK, never sequenced. */
  readonly dropExecutes?: HowOften;
  /** Sequenced a second time right after the first. */
  readonly duplicateExecutes?: HowOften;
  /** From prepare or execute to its answer: a participant that has others to serve. */
  readonly delayAnswersMs?: number;
  /** Between answer and sequencing, on top of the network's own delay. */
  readonly delaySequencingMs?: number;
  /** Sequenced, then refused: the verdict of its completion. */
  readonly rejectVerdicts?: HowOften & { readonly refusal: Refusal };
  readonly lieInPrepare?: HowOften & { readonly lie: PrepareLie };
  readonly lieInCompletions?: HowOften & { readonly lie: CompletionLie };
  readonly lieInDeduplication?: HowOften & DeduplicationLie;
};

export type SubmissionFaultControls = {
  /** Changes what is named and leaves the rest. */
  set(settings: SubmissionFaultSettings): void;
  /** Back to good behaviour. */
  clear(): void;
};

export type SubmissionFaults = SubmissionFaultControls & {
  /** Called after the work is done, waits where answers are late. @throws the error of a lost answer; never returns for a silent one until `signal` aborts. */
  answer(call: 'prepare' | 'execute', signal: AbortSignal | undefined): Promise<void>;
  isDropped(): boolean;
  isDuplicated(): boolean;
  delayMs(): number;
  /** The refusal that is the verdict, if any. */
  verdict(): Refusal | undefined;
  prepareLie(): PrepareLie | undefined;
  completionLie(): CompletionLie | undefined;
  deduplicationLie(): DeduplicationLie | undefined;
};

type Counted = { left: number; readonly share: number };

/** @param clock only waits, for callers that were given no signal. */
export function createSubmissionFaults({ random, clock }: { random: Random; clock: Clock }): SubmissionFaults {
  const counters = new Map<string, Counted>();
  let settings: SubmissionFaultSettings = {};

  /** Draws only when a share is set, so that an untouched participant's randomness is not used up. */
  const strikes = (name: string): boolean => {
    const counter = counters.get(name);
    if (counter === undefined) return false;
    if (counter.left > 0) {
      counter.left -= 1;
      return true;
    }
    return counter.share > 0 && random.next() < counter.share;
  };

  return {
    set: (changed) => {
      settings = { ...settings, ...changed };
      for (const [name, value] of Object.entries(changed)) {
        if (typeof value !== 'object') continue;
        counters.set(name, 'next' in value ? { left: value.next, share: 0 } : { left: 0, share: value.share });
      }
    },
    clear: () => {
      settings = {};
      counters.clear();
    },
    answer: async (call, signal) => {
      if (settings.delayAnswersMs !== undefined) await clock.sleep(settings.delayAnswersMs, signal);
      if (!strikes(call === 'prepare' ? 'losePrepareAnswers' : 'loseExecuteAnswers')) return;
      if (settings.lostAnswerIs === 'silence') await clock.sleep(SILENCE_MS, signal);
      throw cantonError({
        code: 'SERVICE_NOT_RUNNING',
        category: 'transientServerFailure',
        text: 'The connection was lost before the answer arrived.',
      });
    },
    isDropped: () => strikes('dropExecutes'),
    isDuplicated: () => strikes('duplicateExecutes'),
    delayMs: () => settings.delaySequencingMs ?? 0,
    verdict: () => (strikes('rejectVerdicts') ? settings.rejectVerdicts?.refusal : undefined),
    prepareLie: () => (strikes('lieInPrepare') ? settings.lieInPrepare?.lie : undefined),
    completionLie: () => (strikes('lieInCompletions') ? settings.lieInCompletions?.lie : undefined),
    deduplicationLie: () => (strikes('lieInDeduplication') ? settings.lieInDeduplication : undefined),
  };
}

const SILENCE_MS = 3_600_000; // Longer than any caller waits.
