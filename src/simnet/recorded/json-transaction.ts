/** A transaction as the JSON Ledger API prints it, turned into the message that gRPC would have carried for the same reader. */
import { z } from 'zod';
import { microsToTimestamp } from '../../env/clock.ts';
import type { Event } from '../../gen/com/daml/ledger/api/v2/event.ts';
import { Transaction } from '../../gen/com/daml/ledger/api/v2/transaction.ts';
import type { DamlRecord, Identifier, Value } from '../daml/value.ts';
import { type Json, microsOfIso, valueOfJson } from './lf-type.ts';
import { choiceTypes, createType, viewType } from './splice-types.ts';

const json: z.ZodType<Json> = z.lazy(() =>
  z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(json), z.record(z.string(), json)]),
);
const identifier = z.string().transform((text, context): Identifier => {
  const [packageId, moduleName, entityName] = text.split(':');
  if (packageId === undefined || moduleName === undefined || entityName === undefined) {
    context.addIssue('not a package:module:entity');
    return z.NEVER;
  }
  return { packageId, moduleName, entityName };
});
const iso = z.string().transform((text) => microsToTimestamp(microsOfIso(text)));

const createdEvent = z.object({
  nodeId: z.int(),
  contractId: z.string(),
  templateId: identifier,
  createArgument: json,
  interfaceViews: z.array(
    z.object({ interfaceId: identifier, viewStatus: z.object({ code: z.int() }), viewValue: json }),
  ),
  witnessParties: z.array(z.string()),
  signatories: z.array(z.string()),
  observers: z.array(z.string()),
  createdAt: iso,
  packageName: z.string(),
});
const exercisedEvent = z.object({
  nodeId: z.int(),
  contractId: z.string(),
  templateId: identifier,
  interfaceId: identifier.nullable(),
  choice: z.string(),
  choiceArgument: json,
  actingParties: z.array(z.string()),
  consuming: z.boolean(),
  witnessParties: z.array(z.string()),
  lastDescendantNodeId: z.int(),
  exerciseResult: json,
  packageName: z.string(),
  implementedInterfaces: z.array(identifier),
});
const update = z.object({
  update: z.object({
    Transaction: z.object({
      value: z.object({
        updateId: z.string(),
        commandId: z.string(),
        workflowId: z.string(),
        effectiveAt: iso,
        events: z.array(
          z.union([z.object({ CreatedEvent: createdEvent }), z.object({ ExercisedEvent: exercisedEvent })]),
        ),
        offset: z.int(),
        synchronizerId: z.string(),
        traceContext: z.object({ traceparent: z.string().nullish(), tracestate: z.string().nullish() }).nullish(),
        recordTime: iso,
      }),
    }),
  }),
});

/**
 * @param source parsed JSON, `{update: {Transaction: {value: …}}}`.
 * @returns the message, `acs_delta` false throughout as captures of nodes before 3.4 lack it.
 * @throws ZodError or PermanentError SIMNET_BAD_RECORDING when it is no such transaction.
 */
export function transactionOfJson(source: unknown): Transaction {
  const { value } = update.parse(source).update.Transaction;
  return Transaction.fromPartial({
    updateId: value.updateId,
    commandId: value.commandId,
    workflowId: value.workflowId,
    effectiveAt: value.effectiveAt,
    events: value.events.map(eventOf),
    offset: BigInt(value.offset),
    synchronizerId: value.synchronizerId,
    traceContext: {
      traceparent: value.traceContext?.traceparent ?? undefined,
      tracestate: value.traceContext?.tracestate ?? undefined,
    },
    recordTime: value.recordTime,
  });
}

type JsonEvent = z.infer<typeof update>['update']['Transaction']['value']['events'][number];

function eventOf(event: JsonEvent): Event {
  if ('CreatedEvent' in event) {
    const created = event.CreatedEvent;
    return {
      event: {
        $case: 'created',
        value: {
          offset: 0n,
          nodeId: created.nodeId,
          contractId: created.contractId,
          templateId: created.templateId,
          contractKey: undefined,
          createArguments: recordIn(valueOfJson(created.createArgument, createType(created.templateId))),
          createdEventBlob: new Uint8Array(),
          interfaceViews: created.interfaceViews.map(({ interfaceId, viewStatus, viewValue }) => ({
            interfaceId,
            viewStatus: { code: viewStatus.code, message: '', details: [] },
            viewValue: viewStatus.code === 0 ? recordIn(valueOfJson(viewValue, viewType(interfaceId))) : undefined,
            implementationPackageId: created.templateId.packageId,
          })),
          witnessParties: created.witnessParties,
          signatories: created.signatories,
          observers: created.observers,
          createdAt: created.createdAt,
          packageName: created.packageName,
          acsDelta: false,
          representativePackageId: created.templateId.packageId,
          contractKeyHash: new Uint8Array(),
        },
      },
    };
  }
  const exercised = event.ExercisedEvent;
  const [argumentType, resultType] = choiceTypes(exercised.templateId, exercised.choice);
  return {
    event: {
      $case: 'exercised',
      value: {
        offset: 0n,
        nodeId: exercised.nodeId,
        contractId: exercised.contractId,
        templateId: exercised.templateId,
        interfaceId: exercised.interfaceId ?? undefined,
        choice: exercised.choice,
        choiceArgument: valueOfJson(exercised.choiceArgument, argumentType),
        actingParties: exercised.actingParties,
        consuming: exercised.consuming,
        witnessParties: exercised.witnessParties,
        lastDescendantNodeId: exercised.lastDescendantNodeId,
        exerciseResult: valueOfJson(exercised.exerciseResult, resultType),
        packageName: exercised.packageName,
        implementedInterfaces: exercised.implementedInterfaces,
        acsDelta: false,
      },
    },
  };
}

function recordIn(value: Value): DamlRecord | undefined {
  return value.sum?.$case === 'record' ? value.sum.value : undefined;
}
