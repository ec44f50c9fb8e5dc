/** GraphQL over server-sent events, distinct connections mode, over a real socket. */
export type SseClient = {
  /** The next event; null when the stream ended or was cut. Comments are skipped. */
  next(): Promise<{ readonly event: string; readonly data: string } | null>;
  /** Cursors that comments told. */
  readonly cursors: readonly string[];
  cut(): void;
};

export async function subscribeSse(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ readonly status: number; readonly headers: Headers; readonly stream: SseClient }> {
  const aborting = new AbortController();
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...headers },
    body: JSON.stringify(body),
    signal: aborting.signal,
  });
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = '';
  const cursors: string[] = [];

  async function next(): Promise<{ event: string; data: string } | null> {
    for (;;) {
      const end = text.indexOf('\n\n');
      if (end >= 0) {
        const lines = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        const field = (name: string): string | undefined =>
          lines
            .find((line) => line.startsWith(`${name}:`))
            ?.slice(name.length + 1)
            .trim();
        const event = field('event');
        const cursor = lines.find((line) => line.startsWith(':cursor '))?.slice(':cursor '.length);
        if (cursor !== undefined) cursors.push(cursor);
        if (event !== undefined) return { event, data: field('data') ?? '' };
        continue;
      }
      const chunk = await reader?.read().catch(() => undefined);
      if (chunk === undefined || chunk.done) return null;
      text += decoder.decode(chunk.value, { stream: true });
    }
  }
  return { status: response.status, headers: response.headers, stream: { next, cursors, cut: () => aborting.abort() } };
}
