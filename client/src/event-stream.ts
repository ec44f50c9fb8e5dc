/** A subscription over server-sent events, "distinct connections" of graphql-sse: one POST, one stream. */
import { ClientError, disconnected } from './client-error.ts';
import type { Http, Request } from './http.ts';
import type { Platform } from './platform.ts';
import type { Subscribe } from './subscription.ts';

/** 45 s: the server says something every 12 s; three may get lost. */
export const SILENCE_MS = 45_000;
/** Characters of one event: far above any that the server sends. What never ends is not kept. */
const EVENT_LENGTH_MAX = 4 * 1024 * 1024;

export function createEventStreams(http: Http, platform: Platform, silenceMs: number = SILENCE_MS): Subscribe {
  return async function* subscribe(request: Request, { signal, onOpen }) {
    const silence = new AbortController();
    const watchdog = createWatchdog(platform, silenceMs, () => silence.abort());
    try {
      const response = await http.open(request, AbortSignal.any([signal, silence.signal]));
      onOpen();
      if (response.body === null) throw disconnected('The stream has no body.');
      for await (const { event, data } of eventsOf(response.body, watchdog.alive)) {
        if (event === 'complete') return;
        if (event === 'next') yield JSON.parse(data);
      }
      throw disconnected('The stream was cut.');
    } catch (error) {
      if (error instanceof ClientError || signal.aborted) throw error;
      throw disconnected(silence.signal.aborted ? `Nothing came for ${silenceMs} ms.` : 'The stream broke.', {
        cause: error,
      });
    } finally {
      watchdog.stop();
      silence.abort();
    }
  };
}

/** Calls `bark` when {@link alive} was not called for so long. */
export function createWatchdog(
  platform: Platform,
  silenceMs: number,
  bark: () => void,
): { readonly alive: () => void; readonly stop: () => void } {
  const stopped = new AbortController();
  let heardAtMs = platform.nowMs();
  async function watch(): Promise<void> {
    while (!stopped.signal.aborted) {
      const leftMs = heardAtMs + silenceMs - platform.nowMs();
      if (leftMs <= 0) return bark();
      await platform.sleep(leftMs, stopped.signal);
    }
  }
  void watch();
  return {
    alive: () => {
      heardAtMs = platform.nowMs();
    },
    stop: () => stopped.abort(),
  };
}

async function* eventsOf(
  body: ReadableStream<Uint8Array>,
  alive: () => void,
): AsyncGenerator<{ readonly event: string; readonly data: string }> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      text += decoder.decode(value, { stream: true }).replaceAll('\r\n', '\n');
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const lines = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        const event = fieldOf(lines, 'event');
        // Lines without a name are comments: signs of life.
        if (event !== '') yield { event, data: fieldOf(lines, 'data') };
      }
      if (text.length > EVENT_LENGTH_MAX) throw disconnected('An event of the stream has no end.');
    }
  } finally {
    // Also where the reader breaks off: nothing more is to be sent.
    await reader.cancel().catch(() => undefined);
  }
}

function fieldOf(lines: readonly string[], name: string): string {
  return lines
    .filter((line) => line.startsWith(`${name}:`))
    .map((line) => line.slice(name.length + 1).trim())
    .join('\n');
}
