/** An answer of a registry that is not 200: `{error}` with that status. */
import { PermanentError } from '../../env/errors.ts';

export class RegistryRefusal extends PermanentError {
  readonly status: number;

  constructor(status: number, message: string) {
    super('SIMNET_REGISTRY_REFUSAL', message, { status });
    this.status = status;
  }
}

/** What decoders throw at a body that is not what it should be. */
export function isPermanent(error: unknown): error is PermanentError {
  return error instanceof PermanentError;
}
