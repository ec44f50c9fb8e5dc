/** What one environment variable is, and how it is declared. */
import type { z } from 'zod';

export type ConfigKey<T = unknown> = {
  /** The variable's name. A secret may be given by a file instead: the same name with `_FILE`. */
  readonly variable: string;
  /** What a reader may write, in a few words. */
  readonly type: string;
  /** The unit of a number, or null. */
  readonly unit: string | null;
  readonly meaning: string;
  readonly isSecret: boolean;
  /** The text used when the variable is unset or empty; null: there is none. */
  readonly default: string | null;
  /** Unset and without a default: a fault, or null in the configuration. */
  readonly isRequired: boolean;
  readonly schema: z.ZodType<T, string>;
};

type Declaration<T> = Omit<ConfigKey<T>, 'default' | 'isRequired' | 'isSecret' | 'unit'> & {
  readonly isSecret?: boolean;
  readonly unit?: string;
};

export function required<T>(declaration: Declaration<T>): ConfigKey<T> {
  return { unit: null, isSecret: false, ...declaration, default: null, isRequired: true };
}

export function optional<T>(declaration: Declaration<T>): ConfigKey<T | null> {
  return { unit: null, isSecret: false, ...declaration, default: null, isRequired: false };
}

export function withDefault<T>(text: string, declaration: Declaration<T>): ConfigKey<T> {
  return { unit: null, isSecret: false, ...declaration, default: text, isRequired: true };
}
