/** The reference to `TreasuryParty`, which other types point at, and how arguments name one. */
import type { TreasuryParty } from '../read/treasury-parties.ts';
import { builder } from './builder.ts';
import { keyOfGlobalId, partsOfKey } from './global-id.ts';

export const TreasuryPartyRef = builder.objectRef<TreasuryParty>('TreasuryParty');

export const TREASURY_KEY_PARTS = ['network', 'party'] as const;

/** The treasury party an id argument names; null when it was not given. @throws GraphQLError ID_INVALID. */
export function treasuryOfId(id: string | null | undefined) {
  return id == null ? null : partsOfKey(keyOfGlobalId('TreasuryParty', id), TREASURY_KEY_PARTS);
}
