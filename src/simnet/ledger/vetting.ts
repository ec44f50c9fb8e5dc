/**
 * Which packages the participants have vetted. Every package is vetted everywhere until somebody says otherwise: what matters to clients is what happens where one is missing on one
 * host of a party.
 */
import { cantonError } from './canton-error.ts';
import type { PackageDirectory } from './package-directory.ts';

export type VettingControls = {
  /** The participant does not take part in transactions of that package any more. */
  unvet(participant: string, packageName: string): void;
  vet(participant: string, packageName: string): void;
};

export type Vetting = VettingControls & {
  /**
   * The newest version that every host of every party has vetted.
   * @throws CantonError PACKAGE_NAMES_NOT_FOUND for a package that nobody knows, NO_PREFERRED_PACKAGES_FOUND for one that a host has not vetted, or where nobody hosts a party.
   */
  preferred(
    packageName: string,
    parties: readonly string[],
  ): { readonly packageId: string; readonly packageName: string; readonly packageVersion: string };
};

export function createVetting({
  packages,
  hostsOf,
}: {
  readonly packages: PackageDirectory;
  /** Names of the participants that host a party. */
  readonly hostsOf: (party: string) => readonly string[];
}): Vetting {
  const unvetted = new Set<string>();
  const keyOf = (participant: string, packageName: string): string => JSON.stringify([participant, packageName]);
  return {
    unvet: (participant, packageName) => {
      unvetted.add(keyOf(participant, packageName));
    },
    vet: (participant, packageName) => {
      unvetted.delete(keyOf(participant, packageName));
    },
    preferred: (packageName, parties) => {
      const newest = packages.newest(packageName);
      if (newest === undefined) {
        throw cantonError({
          code: 'PACKAGE_NAMES_NOT_FOUND',
          category: 'resourceMissing',
          text: `The following package names do not match packages uploaded on this participant: [${packageName}].`,
          resources: [{ type: 'PACKAGE_NAME', name: packageName }],
        });
      }
      const isLacking = (party: string): boolean => {
        const hosts = hostsOf(party);
        return hosts.length === 0 || hosts.some((host) => unvetted.has(keyOf(host, packageName)));
      };
      if (parties.some(isLacking)) {
        throw cantonError({
          code: 'NO_PREFERRED_PACKAGES_FOUND',
          category: 'invalidState',
          text: `No synchronizer satisfies the vetting requirements: ${packageName} is not vetted for the informees`,
        });
      }
      return { packageId: newest.packageId, packageName, packageVersion: newest.packageVersion };
    },
  };
}
