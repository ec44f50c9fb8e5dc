/** What a registry, a Scan or the proxy does wrong on demand: no answer, slow, huge, broken and hostile ones, and ones that are well-formed and not true. */
import type { Random } from '../../env/random.ts';
import type { HowOften } from '../submission/submission-faults.ts';
import type { Lie } from './lies.ts';

export type RegistryFault =
  /** Takes the request and never answers. */
  | { readonly kind: 'hang' }
  /** Cuts the connection instead of answering. */
  | { readonly kind: 'cut' }
  /** Answers truly, later. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** One byte a second. */
  | { readonly kind: 'trickle' }
  /** So many bytes of JSON; with an end only if it is read that far. */
  | { readonly kind: 'huge'; readonly bytes: number }
  | { readonly kind: 'notJson' }
  /** Arrays in arrays, so many deep. */
  | { readonly kind: 'nested'; readonly depth: number }
  /** Compressed without being asked. */
  | { readonly kind: 'compressed' }
  /** A list whose next page never ends. */
  | { readonly kind: 'endlessPages' }
  | { readonly kind: 'redirect'; readonly location: string }
  /** Fields of the answer that are replaced, such as `transferKind` or `factoryId`. */
  | { readonly kind: 'mutate'; readonly fields: Readonly<Record<string, unknown>> }
  /** True in its form alone. Liars with the same `salt` tell the same lie. */
  | { readonly kind: 'lie'; readonly lie: Lie; readonly salt?: string; readonly delayMs?: number };

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
