/**
 * The names of the Canton token standard (CIP-56, and CIP-112 where it is called V2): interfaces, choices and metadata keys.
 *
 * An interface is recognised by its package id together with its name. The name alone would not do: anybody can upload a package that has a
 * module of the same name, and a look-alike `Holding` must not read as one. The package ids are those of the published API packages, which
 * never change (a changed package is another one).
 * @see https://docs.canton.network, Splice Daml API reference; package ids as seen on MainNet.
 */
import type { Identifier } from '../gen/com/daml/ledger/api/v2/value.ts';
import { qualifiedName } from './value.ts';

export type StandardInterface = {
  /** How a filter names the package; the participant resolves it to an id. */
  readonly packageName: string;
  readonly packageIds: readonly string[];
  readonly moduleName: string;
  readonly entityName: string;
};

export const HOLDING_V1: StandardInterface = {
  packageName: 'splice-api-token-holding-v1',
  packageIds: ['718a0f77e505a8de22f188bd4c87fe74101274e9d4cb1bfac7d09aec7158d35b'],
  moduleName: 'Splice.Api.Token.HoldingV1',
  entityName: 'Holding',
};

const TRANSFER_INSTRUCTION_V1_PACKAGE = {
  packageName: 'splice-api-token-transfer-instruction-v1',
  packageIds: ['55ba4deb0ad4662c4168b39859738a0e91388d252286480c7331b3f71a517281'],
  moduleName: 'Splice.Api.Token.TransferInstructionV1',
} as const;

export const TRANSFER_FACTORY_V1: StandardInterface = {
  ...TRANSFER_INSTRUCTION_V1_PACKAGE,
  entityName: 'TransferFactory',
};
export const TRANSFER_INSTRUCTION_V1: StandardInterface = {
  ...TRANSFER_INSTRUCTION_V1_PACKAGE,
  entityName: 'TransferInstruction',
};

/** Registries use it to burn and to mint, the inputs and outputs of one call being of one instrument. */
export const BURN_MINT_FACTORY_V1: StandardInterface = {
  packageName: 'splice-api-token-burn-mint-v1',
  packageIds: ['9cc2cbc838ef38dc2c7f34014c9c452bcf71b8e2a4f939235fc0b5d0924b185e'],
  moduleName: 'Splice.Api.Token.BurnMintV1',
  entityName: 'BurnMintFactory',
};

export const HOLDING_V2: StandardInterface = {
  packageName: 'splice-api-token-holding-v2',
  packageIds: ['4b7ecfc366d79ccc5ed07c80f26fe489cf2dfd43ce2856c06a78e6a048db7032'],
  moduleName: 'Splice.Api.Token.HoldingV2',
  entityName: 'Holding',
};

const TRANSFER_INSTRUCTION_V2_PACKAGE = {
  packageName: 'splice-api-token-transfer-instruction-v2',
  packageIds: ['29317e3b7b165d2bbf16721bcca0ec4869e53eddb2738bddf790d61af28e0099'],
  moduleName: 'Splice.Api.Token.TransferInstructionV2',
} as const;

export const TRANSFER_FACTORY_V2: StandardInterface = {
  ...TRANSFER_INSTRUCTION_V2_PACKAGE,
  entityName: 'TransferFactory',
};
export const TRANSFER_INSTRUCTION_V2: StandardInterface = {
  ...TRANSFER_INSTRUCTION_V2_PACKAGE,
  entityName: 'TransferInstruction',
};

/** Where an admin reports, account by account, what it did to holdings. */
export const EVENT_LOG_V2: StandardInterface = {
  packageName: 'splice-api-token-transfer-events-v2',
  packageIds: ['5c1097a9bad0af4bcfe6d3fb0fe55112d3d11f18eae57ddfb14c20836fee226c'],
  moduleName: 'Splice.Api.Token.TransferEventsV2',
  entityName: 'EventLog',
};

/** Whether `identifier` is the interface, by package id and name. */
export function isInterface(identifier: Identifier | undefined, standard: StandardInterface): boolean {
  return (
    identifier !== undefined &&
    standard.packageIds.includes(identifier.packageId) &&
    qualifiedName(identifier) === `${standard.moduleName}:${standard.entityName}`
  );
}

/** How an update filter names the interface: by package name, so that the node picks the id. */
export function interfaceReference(standard: StandardInterface): Identifier {
  return { packageId: `#${standard.packageName}`, moduleName: standard.moduleName, entityName: standard.entityName };
}

/** Metadata keys (TextMap Text) of the standard. */
export const META_REASON = 'splice.lfdecentralizedtrust.org/reason';
/** Which account of V2 a holding lies in, as its V1 view tells it (CIP-112). */
export const META_ACCOUNT_PROVIDER = 'cip-112/account.provider';
export const META_ACCOUNT_ID = 'cip-112/account.id';
export const META_TX_KIND = 'splice.lfdecentralizedtrust.org/tx-kind';
export const META_SENDER = 'splice.lfdecentralizedtrust.org/sender';
