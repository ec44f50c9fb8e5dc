/** The other end of the control endpoint: what the command line says to a network that runs as a process of its own. */
import { messageOf, PermanentError, RetryableError } from '../../env/errors.ts';

export type ControlClient = {
  /** What there is: participants, parties, instruments, operations. */
  describe(): Promise<unknown>;
  /**
   * @param operation `transfer`, or `participant1/restore` for a switch of one participant.
   * @param body as JSON would have it; amounts and offsets are texts.
   * @throws PermanentError with the code of the refusal; RetryableError SIMNET_UNREACHABLE.
   */
  perform(operation: string, body: unknown): Promise<unknown>;
};

export type ControlClientOptions = {
  /** `http://host:port`. */
  readonly url: string;
  readonly fetch: (url: URL, init?: RequestInit) => Promise<Response>;
};

export function createControlClient({ url, fetch }: ControlClientOptions): ControlClient {
  const ask = async (path: string, init?: RequestInit): Promise<unknown> => {
    let response: Response;
    try {
      response = await fetch(new URL(path, url), init);
    } catch (cause) {
      throw new RetryableError('SIMNET_UNREACHABLE', 'No simulated network answers there.', { url }, { cause });
    }
    const text = await response.text();
    const answer = parsed(text);
    if (response.ok) return answer;
    const { code, message } = refusalIn(answer);
    throw new PermanentError(code ?? 'SIMNET_REFUSED', message ?? text, { path, status: response.status });
  };
  return {
    describe: () => ask('/simnet'),
    perform: (operation, body) => {
      const [participant, action, ...rest] = operation.split('/');
      const path = action === undefined || rest.length > 0 ? operation : `participants/${participant}/${action}`;
      return ask(`/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PermanentError('SIMNET_NOT_JSON', 'What answers there is no simulated network.', {
      error: messageOf(error),
    });
  }
}

function refusalIn(answer: unknown): { readonly code?: string; readonly message?: string } {
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return {};
  const { error } = answer;
  if (typeof error !== 'object' || error === null) return {};
  return {
    ...('code' in error && typeof error.code === 'string' ? { code: error.code } : {}),
    ...('message' in error && typeof error.message === 'string' ? { message: error.message } : {}),
  };
}
