/**
 * What a participant does wrong with the updates it delivers, on demand: lost, doubled, out of order, under another id, of a kind that no
 * client knows, unreadable, huge. Each disturbance strikes the next updates that any stream delivers; look-ups go on telling the truth,
 * except for what is hidden or padded, which stays so.
 */
import { ParticipantPermission } from '../../gen/com/daml/ledger/api/v2/state_service.ts';
import type { TopologyEvent } from '../../gen/com/daml/ledger/api/v2/topology_transaction.ts';
import { GetUpdatesResponse } from '../../gen/com/daml/ledger/api/v2/update_service.ts';

export type Disturbance =
  /** Never delivered; the stream goes on. */
  | { readonly kind: 'drop' }
  | { readonly kind: 'duplicate' }
  /** Delivered after the update that follows it. */
  | { readonly kind: 'swap' }
  /** Delivered, then once more at the same offset under another update id. */
  | { readonly kind: 'sameOffsetOtherId' }
  /** Replaced by an update of a kind that comes with a later version. */
  | { readonly kind: 'unknownKind' }
  /** Replaced by a change of who hosts a party, which readers get who asked for topology. */
  | { readonly kind: 'topology' }
  /** Replaced by a transaction whose bytes cannot be decoded. */
  | { readonly kind: 'undecodable' }
  /** Made as large as this, for good. */
  | { readonly kind: 'pad'; readonly messageBytes: number }
  /** Whatever a test makes of it. */
  | { readonly kind: 'alter'; readonly alter: (message: GetUpdatesResponse) => readonly GetUpdatesResponse[] };

export type DisturbanceControls = {
  /** For the next `count` updates, after those that are planned already. */
  disturbNext(disturbance: Disturbance, count?: number): void;
  /** Shows nothing of an update any more, neither on streams nor in look-ups. */
  hideUpdate(updateId: string): void;
  /** Makes every message with this update so large, wherever it is shown. */
  padUpdate(updateId: string, messageBytes: number): void;
  /** Back to good behaviour, also for what was hidden and padded. */
  clearDisturbances(): void;
};

export type Disturbances = DisturbanceControls & {
  /** @returns the disturber of one stream. */
  forStream(): (message: GetUpdatesResponse) => readonly GetUpdatesResponse[];
  isHidden(updateId: string): boolean;
  /** @returns the message in the size it has to have. */
  sized(message: GetUpdatesResponse): GetUpdatesResponse;
};

const LENGTH_DELIMITED = 2;
/** A field of GetUpdatesResponse that Canton 3.5 does not have. */
const UNKNOWN_FIELD = 15;
const TRANSACTION_FIELD = 1;
/** A field with a length far beyond the end of the message. */
const GARBAGE = Uint8Array.of(2, 0x0a, 0xff);
/** What field headers and lengths of the padding take at most. */
const PADDING_OVERHEAD = 16;

export function createDisturbances(): Disturbances {
  let planned: Disturbance[] = [];
  const hidden = new Set<string>();
  const sizes = new Map<string, number>();

  const sized = (message: GetUpdatesResponse): GetUpdatesResponse => {
    const { update } = message;
    if (update?.$case !== 'transaction') return message;
    const messageBytes = sizes.get(update.value.updateId);
    if (messageBytes === undefined) return message;
    const missing = messageBytes - GetUpdatesResponse.encode(message).finish().length - PADDING_OVERHEAD;
    if (missing <= 0) return message;
    const traceContext = { traceparent: update.value.traceContext?.traceparent, tracestate: 'x'.repeat(missing) };
    return { update: { $case: 'transaction', value: { ...update.value, traceContext } } };
  };

  const disturb = (disturbance: Disturbance, message: GetUpdatesResponse): readonly GetUpdatesResponse[] => {
    switch (disturbance.kind) {
      case 'drop':
      case 'swap':
        return [];
      case 'duplicate':
        return [message, message];
      case 'sameOffsetOtherId':
        return [message, underOtherId(message)];
      case 'unknownKind':
        return [unknownField(UNKNOWN_FIELD, Uint8Array.of(0))];
      case 'topology':
        return [hostingChange(message)];
      case 'undecodable':
        return [unknownField(TRANSACTION_FIELD, GARBAGE)];
      case 'pad': {
        const { update } = message;
        if (update?.$case === 'transaction') sizes.set(update.value.updateId, disturbance.messageBytes);
        return [sized(message)];
      }
      case 'alter':
        return disturbance.alter(message);
    }
  };

  return {
    disturbNext: (disturbance, count = 1) => {
      for (let index = 0; index < count; index += 1) planned.push(disturbance);
    },
    hideUpdate: (updateId) => {
      hidden.add(updateId);
    },
    padUpdate: (updateId, messageBytes) => {
      sizes.set(updateId, messageBytes);
    },
    clearDisturbances: () => {
      planned = [];
      hidden.clear();
      sizes.clear();
    },
    isHidden: (updateId) => hidden.has(updateId),
    sized,
    forStream: () => {
      let heldBack: readonly GetUpdatesResponse[] = [];
      return (message) => {
        const disturbance = planned.shift();
        const delivered = disturbance === undefined ? [message] : disturb(disturbance, message);
        const late = heldBack;
        heldBack = disturbance?.kind === 'swap' ? [message] : [];
        return [...delivered, ...late];
      };
    },
  };
}

/** The same update id, offset and time as a topology transaction: a party came to a further participant. */
function hostingChange({ update }: GetUpdatesResponse): GetUpdatesResponse {
  if (update?.$case !== 'transaction') return { update };
  const { updateId, offset, synchronizerId, recordTime, traceContext, events } = update.value;
  const [first] = events;
  const [partyId = ''] = first?.event?.value.witnessParties ?? [];
  const value = {
    partyId,
    participantId: `participant::${updateId}`,
    participantPermission: ParticipantPermission.PARTICIPANT_PERMISSION_OBSERVATION,
  };
  const added: TopologyEvent = { event: { $case: 'participantAuthorizationAdded', value } };
  return {
    update: {
      $case: 'topologyTransaction',
      value: { updateId, offset, synchronizerId, recordTime, traceContext, events: [added] },
    },
  };
}

function underOtherId({ update }: GetUpdatesResponse): GetUpdatesResponse {
  if (update?.$case !== 'transaction') return { update };
  const { updateId } = update.value;
  const last = updateId.endsWith('0') ? '1' : '0';
  return { update: { $case: 'transaction', value: { ...update.value, updateId: updateId.slice(0, -1) + last } } };
}

/** @param content of a length-delimited field, with its length in front. */
function unknownField(field: number, content: Uint8Array): GetUpdatesResponse {
  return { update: undefined, _unknownFields: { [field * 8 + LENGTH_DELIMITED]: [content] } };
}
