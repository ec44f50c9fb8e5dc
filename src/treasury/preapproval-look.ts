/**
 * A treasury's own transfer preapproval of Canton Coin, and an open proposal for one, as its participant has them among the active contracts. With a preapproval deposits arrive at once;
 * without one they come as offers. It is the provider's validator that renews it.
 * @see Splice `Splice.AmuletRules:TransferPreapproval`, `Splice.Wallet.TransferPreapproval:TransferPreapprovalProposal`.
 */
import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { CreatedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import { EventFormat } from '../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import type { Identifier } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { field, readParty, readTime } from '../tokens/value.ts';

export const PREAPPROVAL: Identifier = {
  packageId: '#splice-amulet',
  moduleName: 'Splice.AmuletRules',
  entityName: 'TransferPreapproval',
};
export const PROPOSAL: Identifier = {
  packageId: '#splice-wallet',
  moduleName: 'Splice.Wallet.TransferPreapproval',
  entityName: 'TransferPreapprovalProposal',
};

export type Preapproval = {
  readonly contractId: string;
  readonly provider: string;
  readonly validFrom: Micros;
  readonly lastRenewedAt: Micros;
  readonly expiresAt: Micros;
};

export type PreapprovalLook = {
  readonly offset: bigint;
  /** Of several the one that lasts longest; null: none. */
  readonly preapproval: Preapproval | null;
  readonly proposal: { readonly contractId: string; readonly provider: string } | null;
  /** Whether the participant knows the package that proposals are made with. */
  readonly canPropose: boolean;
};

const NOT_KNOWN: ReadonlySet<string> = new Set(['PACKAGE_NAMES_NOT_FOUND', 'TEMPLATES_OR_INTERFACES_NOT_FOUND']);

/**
 * @param admin of Canton Coin: who must have signed a preapproval for it to be one.
 * @throws RetryableError or PermanentError of the calls.
 */
export async function lookAtPreapproval(
  ledger: Pick<Ledger, 'ledgerEnd' | 'activeContracts'>,
  { party, admin, signal }: { readonly party: string; readonly admin: string; readonly signal: AbortSignal },
): Promise<PreapprovalLook> {
  const { offset } = await ledger.ledgerEnd();
  const read = async (templates: readonly Identifier[]): Promise<readonly CreatedEvent[]> => {
    const events: CreatedEvent[] = [];
    const format = formatFor(party, templates);
    for await (const { createdEvent } of ledger.activeContracts({ atOffset: offset, format, signal })) {
      events.push(createdEvent);
    }
    return events;
  };
  let canPropose = true;
  let events: readonly CreatedEvent[];
  try {
    events = await read([PREAPPROVAL, PROPOSAL]);
  } catch (error) {
    if (!(error instanceof PermanentError && NOT_KNOWN.has(error.code))) throw error;
    canPropose = false;
    events = await read([PREAPPROVAL]);
  }
  const preapprovals = events.flatMap((event) => preapprovalOf(event, { party, admin }) ?? []);
  preapprovals.sort((a, b) => Number(b.expiresAt - a.expiresAt));
  const proposals = events.flatMap((event) => proposalOf(event, party) ?? []);
  return { offset, preapproval: preapprovals[0] ?? null, proposal: proposals[0] ?? null, canPropose };
}

function formatFor(party: string, templates: readonly Identifier[]): EventFormat {
  const cumulative = templates.map((templateId) => ({
    identifierFilter: { $case: 'templateFilter', value: { templateId, includeCreatedEventBlob: false } } as const,
  }));
  return EventFormat.fromPartial({ filtersByParty: { [party]: { cumulative } }, verbose: true });
}

function preapprovalOf(
  event: CreatedEvent,
  { party, admin }: { readonly party: string; readonly admin: string },
): Preapproval | null {
  const { createArguments: args, contractId, templateId, signatories } = event;
  if (templateId?.entityName !== PREAPPROVAL.entityName) return null;
  const provider = readParty(field(args, 'provider'));
  const validFrom = readTime(field(args, 'validFrom'));
  const lastRenewedAt = readTime(field(args, 'lastRenewedAt'));
  const expiresAt = readTime(field(args, 'expiresAt'));
  // A template of the same name that the admin never signed would make us believe that money arrives.
  const isOurs = readParty(field(args, 'receiver')) === party && signatories.includes(admin);
  if (!isOurs || provider === undefined || validFrom === undefined || expiresAt === undefined) return null;
  return { contractId, provider, validFrom, lastRenewedAt: lastRenewedAt ?? validFrom, expiresAt };
}

function proposalOf(event: CreatedEvent, party: string): { contractId: string; provider: string } | null {
  const { createArguments: args, contractId, templateId } = event;
  if (templateId?.entityName !== PROPOSAL.entityName) return null;
  const provider = readParty(field(args, 'provider'));
  const isOurs = readParty(field(args, 'receiver')) === party;
  return isOurs && provider !== undefined ? { contractId, provider } : null;
}
