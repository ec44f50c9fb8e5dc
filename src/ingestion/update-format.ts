/** What we ask a participant to send: everything the treasury party witnesses, with the token-standard views of what it sees created. */
import {
  type CumulativeFilter,
  type EventFormat,
  TransactionShape,
  type UpdateFormat,
} from '../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import {
  HOLDING_V1,
  interfaceReference,
  type StandardInterface,
  TRANSFER_FACTORY_V1,
  TRANSFER_INSTRUCTION_V1,
} from '../tokens/standard.ts';

/**
 * LEDGER_EFFECTS, because only that shape shows exercises, and with them memos and the ways an offer ends. The wildcard shows the exercises of
 * registries we know nothing of; the interface filters add the views, and the interfaces that a consumed contract had. Reassignments are asked for
 * so that a second synchronizer does not go unnoticed.
 */
export function updateFormatFor(party: string): UpdateFormat {
  const eventFormat: EventFormat = {
    filtersByParty: {
      [party]: {
        cumulative: [
          { identifierFilter: { $case: 'wildcardFilter', value: { includeCreatedEventBlob: false } } },
          ...[TRANSFER_FACTORY_V1, HOLDING_V1, TRANSFER_INSTRUCTION_V1].map(interfaceFilter),
        ],
      },
    },
    filtersForAnyParty: undefined,
    verbose: true, // Record labels: values are read by label.
  };
  return {
    includeTransactions: { eventFormat, transactionShape: TransactionShape.TRANSACTION_SHAPE_LEDGER_EFFECTS },
    includeReassignments: eventFormat,
    includeTopologyEvents: undefined,
  };
}

function interfaceFilter(standard: StandardInterface): CumulativeFilter {
  return {
    identifierFilter: {
      $case: 'interfaceFilter',
      value: { interfaceId: interfaceReference(standard), includeInterfaceView: true, includeCreatedEventBlob: false },
    },
  };
}
