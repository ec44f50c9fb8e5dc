/** What the control endpoint does with a single participant: `POST /participants/<name>/<switch>`. */
import { z } from 'zod';
import { CALL_NAMES } from '../ledger/call-name.ts';
import { CATEGORY, type CategoryName } from '../ledger/canton-error.ts';
import { KNOWN_CODES, knownRefusal } from '../ledger/known-refusals.ts';
import type { Participant } from '../ledger/participant.ts';
import { transactionOfJson } from '../recorded/json-transaction.ts';
import { alsoHowOften, decimal, howOften, micros, offset } from './control-shapes.ts';

/** @param party turns a hint or an id into the full id. */
type ParticipantRoute = (participant: Participant, body: unknown, party: (nameOrId: string) => string) => unknown;

const categories = Object.keys(CATEGORY) as [CategoryName, ...CategoryName[]];
/** A code that is known, or any code with its category and text. */
const refusal = z.union([
  z.strictObject({ code: z.enum(KNOWN_CODES) }).transform(({ code }) => knownRefusal(code)),
  z.strictObject({
    code: z.string(),
    category: z.enum(categories),
    text: z.string(),
    definiteAnswer: z.boolean().exactOptional(),
    retryAfterMs: z.int().min(0).exactOptional(),
  }),
]);
const rejectedCalls = alsoHowOften({ refusal, calls: z.array(z.enum(CALL_NAMES)).exactOptional() });
const messageBytes = z
  .int()
  .min(1)
  .max(256 * 1024 * 1024);
const disturbRequest = z.strictObject({
  disturbance: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.enum(['drop', 'duplicate', 'swap', 'sameOffsetOtherId', 'unknownKind', 'topology', 'undecodable']),
    }),
    z.strictObject({ kind: z.literal('pad'), messageBytes }),
  ]),
  count: z.int().min(1).exactOptional(),
});
const submissionFaults = z.strictObject({
  losePrepareAnswers: howOften.exactOptional(),
  loseExecuteAnswers: howOften.exactOptional(),
  lostAnswerIs: z.enum(['unavailable', 'silence']).exactOptional(),
  dropExecutes: howOften.exactOptional(),
  duplicateExecutes: howOften.exactOptional(),
  delayAnswersMs: z.int().min(0).exactOptional(),
  delaySequencingMs: z.int().min(0).exactOptional(),
  rejectVerdicts: alsoHowOften({ refusal }).exactOptional(),
  lieInPrepare: alsoHowOften({
    lie: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('receiver'), receiver: z.string() }),
      z.strictObject({ kind: z.literal('amount'), amount: decimal }),
      z.strictObject({ kind: z.literal('hash') }),
      z.strictObject({
        kind: z.literal('maxRecordTime'),
        micros: z.union([micros, z.null().transform(() => undefined)]),
      }),
      z.strictObject({ kind: z.literal('extraNode') }),
    ]),
  }).exactOptional(),
  lieInCompletions: alsoHowOften({ lie: z.enum(['inverted', 'missing', 'otherCommand']) }).exactOptional(),
  lieInDeduplication: alsoHowOften({
    lie: z.enum(['DUPLICATE_COMMAND', 'SUBMISSION_ALREADY_IN_FLIGHT', 'forgotten']),
    isTaken: z.boolean().exactOptional(),
  }).exactOptional(),
});
const everyMs = z.strictObject({ everyMs: z.int().min(0) });
const restoreOptions = {
  catchUp: z.union([z.enum(['held', 'atOnce']), everyMs]).exactOptional(),
  numbering: z.enum(['fresh', 'same']).exactOptional(),
  offsetSteps: z.strictObject({ min: z.int().min(1), max: z.int().min(1) }).exactOptional(),
  losesTail: z.boolean().exactOptional(),
};
const restoreRequest = z.union([
  z.strictObject({ ...restoreOptions, to: offset }),
  z.strictObject({ ...restoreOptions, updatesBack: z.int().min(0) }),
]);

const bytes = z
  .string()
  .regex(/^\d{1,15}$/, 'bytes as a text')
  .transform(BigInt);
const trafficRequest = z.union([
  z.strictObject({ baseBytes: bytes, windowSeconds: bytes, extraBytes: bytes }),
  z.strictObject({ buy: bytes }),
  z.strictObject({ drainTo: bytes }),
  z.strictObject({ meter: z.literal(false) }),
]);

export const PARTICIPANT_ROUTES: Readonly<Record<string, ParticipantRoute>> = {
  'end-streams': ({ faults }) => ({ streams: faults.endStreams() }),
  'abort-streams': ({ faults }, body) => {
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
  'limit-streams': ({ faults }, body) => {
    const { streams } = z.strictObject({ streams: z.union([z.int().min(0), z.null()]) }).parse(body);
    faults.limitStreams(streams ?? undefined);
    return {};
  },
  'silence-streams': ({ faults }) => {
    faults.silenceStreams();
    return {};
  },
  'reject-calls': ({ faults }, body) => {
    const { calls, refusal: asked, ...often } = rejectedCalls.parse(body);
    faults.rejectCalls({ refusal: asked, ...often, ...(calls === undefined ? {} : { calls }) });
    return {};
  },
  'accept-calls': ({ faults }) => {
    faults.acceptCalls();
    return {};
  },
  disturb: ({ faults }, body) => {
    const { disturbance, count } = disturbRequest.parse(body);
    faults.disturbNext(disturbance, count);
    return {};
  },
  'hide-update': ({ faults }, body) => {
    faults.hideUpdate(z.strictObject({ updateId: z.string() }).parse(body).updateId);
    return {};
  },
  'pad-update': ({ faults }, body) => {
    const { updateId, messageBytes: size } = z.strictObject({ updateId: z.string(), messageBytes }).parse(body);
    faults.padUpdate(updateId, size);
    return {};
  },
  'clear-disturbances': ({ faults }) => {
    faults.clearDisturbances();
    return {};
  },
  'hide-party': ({ faults }, body, idOf) => {
    const { party, alsoActive } = z
      .strictObject({ party: z.string(), alsoActive: z.boolean().exactOptional() })
      .parse(body);
    faults.hideParty(idOf(party), alsoActive);
    return {};
  },
  'show-party': ({ faults }, body, idOf) => {
    faults.showParty(idOf(z.strictObject({ party: z.string() }).parse(body).party));
    return {};
  },
  /** Changes what is named; an empty body ends all of it. */
  'submission-faults': ({ faults }, body) => {
    const settings = submissionFaults.parse(body);
    if (Object.keys(settings).length === 0) faults.submissions.clear();
    else faults.submissions.set(settings);
    return {};
  },
  /** Meters it, buys extra traffic, or uses it up; `meter: false` ends that. */
  traffic: ({ traffic }, body) => {
    const asked = trafficRequest.parse(body);
    if ('buy' in asked) traffic.buy(asked.buy);
    else if ('drainTo' in asked) traffic.drain(asked.drainTo);
    else if ('meter' in asked) traffic.unmeter();
    else traffic.meter(asked);
    const status = traffic.status();
    return status === null ? {} : { consumed: String(status.totalConsumed), limit: String(status.totalLimit) };
  },
  prune: (participant, body) => {
    participant.prune(z.strictObject({ offset }).parse(body).offset);
    return { prunedUpTo: participant.prunedUpTo() };
  },
  restore: (participant, body) => participant.restore(restoreRequest.parse(body)),
  hold: ({ intake }) => {
    intake.hold();
    return { behind: intake.behind() };
  },
  step: ({ intake }, body) => {
    const processed = intake.step(z.strictObject({ count: z.int().min(1) }).parse(body).count);
    return { processed, behind: intake.behind() };
  },
  release: ({ intake }, body) => {
    const { everyMs: pace } = z.strictObject({ everyMs: z.int().min(0).exactOptional() }).parse(body);
    intake.release(pace === undefined ? undefined : { everyMs: pace });
    return { behind: intake.behind() };
  },
  'skip-offsets': (participant, body) => ({
    ledgerEnd: participant.skipOffsets(z.strictObject({ count: offset }).parse(body).count),
  }),
  recorded: (participant, body) => ({ offset: participant.appendRecorded(transactionOfJson(body)) }),
};
