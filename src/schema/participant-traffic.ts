/** `ParticipantTraffic`: what the participants may still send to the ledger, and its query. */
import { readTraffic } from '../read/traffic.ts';
import type { TrafficLeft } from '../submissions/traffic-readings.ts';
import { HOURS_LEFT_MIN, type TrafficState, trafficHealthOf } from '../treasury/traffic-health.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';

const TrafficStateEnum = builder.enumType('ParticipantTrafficState', {
  description: 'What is to be thought of it. Since 0.1.',
  values: {
    ENOUGH: { description: 'Nothing to see to.' },
    LOW: { description: 'At the present burn the reserve is reached within a day.' },
    RESERVED: { description: 'What is left is kept in reserve: nothing is submitted until more is bought.' },
    BASE_RATE: { description: 'No extra traffic was ever bought. What the base rate has left nobody tells.' },
    UNKNOWN: { description: 'It was not read for ten minutes.' },
  } satisfies Record<TrafficState, { description: string }>,
});

const healthOf = (traffic: TrafficLeft, { clock, trafficReserve = 0 }: ApiContext) =>
  trafficHealthOf(traffic, { reserve: BigInt(trafficReserve), hoursMin: HOURS_LEFT_MIN }, clock.nowMicros());

const ParticipantTrafficRef = builder.objectRef<TrafficLeft>('ParticipantTraffic').implement({
  description:
    'The extra traffic of a participant through which we submit, as Scan told of it last. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    participant: t.exposeString('participant', { description: 'Its id. Scope: `read`. Since 0.1.' }),
    balance: t.expose('balance', {
      type: 'BigInt',
      description: 'Bytes that were bought and are not used up, the reserve among them. Scope: `read`. Since 0.1.',
    }),
    hoursLeft: t.int({
      nullable: true,
      description:
        'Whole hours until the reserve is reached, at the burn of the last hour; null: nothing burns, or it is not known yet. Scope: `read`. Since 0.1.',
      resolve: (traffic, _arguments, context) => healthOf(traffic, context).hoursLeft,
    }),
    state: t.field({
      type: TrafficStateEnum,
      description: 'As of now. Scope: `read`. Since 0.1.',
      resolve: (traffic, _arguments, context) => healthOf(traffic, context).state,
    }),
    alarm: t.string({
      nullable: true,
      description: 'What somebody should see to, in words; null: nothing. Scope: `read`. Since 0.1.',
      resolve: (traffic, _arguments, context) => healthOf(traffic, context).alarm,
    }),
    asOf: t.expose('readAt', {
      type: 'RecordTime',
      description: 'When it was read, by our clock. Scope: `read`. Since 0.1.',
    }),
  }),
});

builder.queryFields((t) => ({
  participantTraffic: t.field({
    type: [ParticipantTrafficRef],
    description:
      'One per participant whose traffic is read, by id; empty where no Scan tells of it. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    resolve: async (_root, _arguments, { db, network }) => [...(await readTraffic(db, network))],
  }),
}));
