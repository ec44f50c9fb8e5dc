/** What a registry does wrong on demand: no answer, slow, huge or broken ones, and ones that are well-formed and not true. */
import type { Random } from '../../env/random.ts';
import type { HowOften } from '../submission/submission-faults.ts';

export type RegistryFault =
  /** Takes the request and never answers. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'status'; readonly status: number }
  /** One byte a second. */
  | { readonly kind: 'trickle' }
  /** So many bytes of JSON. */
  | { readonly kind: 'huge'; readonly bytes: number }
  | { readonly kind: 'notJson' }
  | { readonly kind: 'redirect'; readonly location: string }
  /** Fields of the answer that are replaced, such as `transferKind` or `factoryId`. */
  | { readonly kind: 'mutate'; readonly fields: Readonly<Record<string, unknown>> };

export type RegistryFaultControls = {
  /** Replaces the fault before it. */
  set(fault: HowOften & { readonly fault: RegistryFault }): void;
  clear(): void;
};

export type RegistryFaults = RegistryFaultControls & { draw(): RegistryFault | undefined };

export function createRegistryFaults(random: Random): RegistryFaults {
  let current: (HowOften & { readonly fault: RegistryFault }) | undefined;
  let left = 0;
  return {
    set: (fault) => {
      current = fault;
      left = 'next' in fault ? fault.next : 0;
    },
    clear: () => {
      current = undefined;
    },
    draw: () => {
      if (current === undefined) return undefined;
      if ('share' in current) return random.next() < current.share ? current.fault : undefined;
      if (left === 0) return undefined;
      left -= 1;
      return current.fault;
    },
  };
}
