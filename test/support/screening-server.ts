/** A screening service over real HTTP that a test can tell how to answer, hang, lie or redirect. It checks the signature of every question. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { sign } from '../../src/deposits/screening-client.ts';

export const SCREENING_SECRET = new Uint8Array(32).fill(9);

export type Behaviour =
  | 'allow'
  | 'deny'
  | 'pending'
  | 'hang'
  | 'trickle'
  | 'redirect'
  | 'status500'
  | 'rubbish'
  | 'unsigned'
  | 'otherSecret'
  | 'otherTransfer'
  | 'replayedQuestion'
  | 'huge'
  | 'cut';

export type ScreeningServer = {
  readonly url: string;
  /** From now on; per question where it is a function. */
  behave(next: Behaviour | ((question: Readonly<Record<string, unknown>>) => Behaviour)): void;
  /** Transfer ids in the order they were asked about. */
  readonly asked: readonly string[];
  /** Whole questions, as they came. */
  readonly questions: readonly Readonly<Record<string, unknown>>[];
  /** Questions whose signature was not ours. */
  readonly forged: readonly string[];
  stop(): Promise<void>;
};

export async function startScreeningServer(first: Behaviour): Promise<ScreeningServer> {
  let behaviour: Parameters<ScreeningServer['behave']>[0] = first;
  const asked: string[] = [];
  const questions: Record<string, unknown>[] = [];
  const forged: string[] = [];
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      const timestamp = String(request.headers['sluice-timestamp']);
      if (request.headers['sluice-signature'] !== sign(SCREENING_SECRET, 'request', timestamp, body)) forged.push(body);
      const question = JSON.parse(body) as Record<string, unknown>;
      asked.push(String(question['transferId']));
      questions.push(question);
      answer(response, typeof behaviour === 'function' ? behaviour(question) : behaviour, {
        timestamp,
        body,
        about:
          question['kind'] === 'WITHDRAWAL'
            ? { withdrawalId: String(question['withdrawalId']) }
            : { transferId: String(question['transferId']) },
      });
    });
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/screen`,
    behave: (next) => {
      behaviour = next;
    },
    asked,
    questions,
    forged,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((settle) => server.close(settle));
    },
  };
}

type Question = { readonly timestamp: string; readonly body: string; readonly about: Readonly<Record<string, string>> };

function answer(response: ServerResponse, behaviour: Behaviour, question: Question): void {
  const { timestamp, about } = question;
  const say = (content: unknown, secret = SCREENING_SECRET): void => {
    const body = JSON.stringify(content);
    response.setHeader('sluice-signature', sign(secret, 'answer', timestamp, body));
    response.end(body);
  };
  switch (behaviour) {
    case 'allow':
    case 'deny':
    case 'pending':
      say({ ...about, verdict: behaviour, caseId: `case-${behaviour}`, reason: 'because' });
      return;
    case 'hang':
      return;
    case 'trickle':
      response.write('{');
      return;
    case 'redirect':
      response.writeHead(302, { location: '/allow-all' }).end();
      return;
    case 'status500':
      response.writeHead(500).end();
      return;
    case 'rubbish':
      say({ ...about, verdict: 'ALLOW' });
      return;
    case 'unsigned':
      response.end(JSON.stringify({ ...about, verdict: 'allow' }));
      return;
    case 'otherSecret':
      say({ ...about, verdict: 'allow' }, new Uint8Array(32));
      return;
    case 'otherTransfer':
      say({ transferId: 'tr_other', verdict: 'allow' });
      return;
    case 'replayedQuestion':
      // The question's own signature, as if it were one of an answer.
      response.setHeader('sluice-signature', sign(SCREENING_SECRET, 'request', timestamp, question.body));
      response.end(question.body);
      return;
    case 'huge':
      say({ ...about, verdict: 'allow', reason: 'x'.repeat(200_000) });
      return;
    case 'cut':
      response.socket?.destroy();
      return;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  return body;
}
