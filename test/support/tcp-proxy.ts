/**
 * A TCP proxy on 127.0.0.1 that does to connections what networks and nodes do: falls silent (nothing arrives, nothing is closed), refuses, accepts without ever
 * speaking, cuts, ends in order, on one side or on both, is slow, chops what it passes on into small pieces.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { systemClock } from '../../src/env/system.ts';

export type TcpProxy = {
  readonly port: number;
  /** From now on nothing passes, over old and new connections alike; what is sent meanwhile waits. */
  silence(): void;
  /** From now on nothing passes over the connections of the moment, and nothing is closed: they are half-open for both sides. New ones are served. */
  strand(): void;
  /** Lets everything pass again, also over connections that were held. */
  speak(): void;
  /** Resets every connection of the moment. */
  cut(): void;
  /** Ends every connection of the moment in order (FIN), towards both sides. */
  finish(): void;
  /** Tells every client of the moment that nothing more comes (FIN), and still passes on what they send. */
  finishAnswers(): void;
  /** What is sent from now on arrives so much later, in its order; 0: at once. */
  delay(delayMs: number): void;
  /** From now on every connection, old or new, is reset where it has passed on so many more bytes of answers, in the middle of whatever they say. Null: no more. */
  cutAfter(bytes: number | null): void;
  /** New connections are refused, as by a machine on which nobody listens. */
  refuse(): Promise<void>;
  /** Ends `refuse`. */
  admit(): Promise<void>;
  /** New connections are accepted and never answered. */
  hold(): void;
  /** Ends `hold`, for connections to come. */
  unhold(): void;
  /** Passes on pieces of at most so many bytes from now on. */
  chop(bytesMax: number): void;
  /**
   * Passes what a client sends on, and the first answer after a chunk that `matches` not at all: the connection is reset in its place. Null: no more.
   * So the server has done what was asked, and the client never learns it.
   */
  cutAnswerTo(matches: ((chunk: Buffer) => boolean) | null): void;
  /** Of clients, open at the moment. */
  connections(): number;
  /** Of clients, ever. */
  accepted(): number;
  /** How many answers `cutAnswerTo` and `cutAfter` have cut off. */
  answersCut(): number;
  close(): Promise<void>;
};

export async function createTcpProxy(target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const clients = new Set<Socket>();
  let isSilent = false;
  let isHolding = false;
  let bytesMax = Number.POSITIVE_INFINITY;
  let delayMs = 0;
  /** A new object at each order, so that connections count from then on. */
  let cutting: { readonly bytes: number } | null = null;
  let matches: ((chunk: Buffer) => boolean) | null = null;
  let accepted = 0;
  let answersCut = 0;

  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    if (isSilent) socket.pause();
  };

  const forward = (from: Socket, to: Socket, mayPass: (chunk: Buffer) => boolean): void => {
    keep(from);
    const write = (chunk: Buffer): void => {
      if (!to.writable) return;
      for (let start = 0; start < chunk.length; start += bytesMax) to.write(chunk.subarray(start, start + bytesMax));
    };
    let lateLeft = 0;
    let late = Promise.resolve();
    from.on('data', (chunk) => {
      if (!mayPass(chunk)) return;
      if (delayMs === 0 && lateLeft === 0) {
        write(chunk);
        return;
      }
      const due = systemClock.nowMicros() + BigInt(delayMs) * 1_000n;
      lateLeft += 1;
      late = late.then(async () => {
        await systemClock.sleep(Math.max(0, Number((due - systemClock.nowMicros()) / 1_000n)));
        lateLeft -= 1;
        write(chunk);
      });
    });
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  };

  const server = createServer((incoming) => {
    accepted += 1;
    clients.add(incoming);
    incoming.on('close', () => clients.delete(incoming));
    if (isHolding) {
      keep(incoming);
      incoming.on('error', () => incoming.destroy());
      incoming.resume();
      return;
    }
    if (Number.isFinite(bytesMax)) incoming.setNoDelay();
    const outgoing = connect(target);
    let isAnswerCut = false;
    forward(incoming, outgoing, (chunk) => {
      isAnswerCut ||= matches?.(chunk) === true;
      return true;
    });
    let counted: typeof cutting = null;
    let bytesLeft = 0;
    forward(outgoing, incoming, (chunk) => {
      if (cutting !== null) {
        if (counted !== cutting) bytesLeft = cutting.bytes;
        counted = cutting;
        bytesLeft -= chunk.length;
        if (bytesLeft < 0) {
          if (incoming.destroyed) return false;
          answersCut += 1;
          incoming.write(chunk.subarray(0, bytesLeft), () => incoming.resetAndDestroy());
          return false;
        }
      }
      if (!isAnswerCut) return true;
      answersCut += 1;
      incoming.resetAndDestroy();
      return false;
    });
  });
  const listen = async (port: number): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  };
  await listen(0);
  // Listening on TCP: the address is never null, nor a pipe's name.
  const { port } = server.address() as AddressInfo;

  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port,
    silence: () => {
      isSilent = true;
      for (const socket of sockets) socket.pause();
    },
    strand: () => {
      for (const socket of sockets) socket.pause();
    },
    speak: () => {
      isSilent = false;
      for (const socket of sockets) socket.resume();
    },
    cut,
    finish: () => {
      for (const socket of sockets) socket.end();
    },
    finishAnswers: () => {
      for (const socket of clients) socket.end();
    },
    delay: (milliseconds) => {
      delayMs = milliseconds;
    },
    cutAfter: (bytes) => {
      cutting = bytes === null ? null : { bytes };
    },
    refuse: async () => {
      // Listening ends at once; the callback would wait for the connections there are.
      server.close();
      cut();
    },
    admit: async () => await listen(port),
    hold: () => {
      isHolding = true;
    },
    unhold: () => {
      isHolding = false;
    },
    chop: (max) => {
      bytesMax = max;
    },
    cutAnswerTo: (wanted) => {
      matches = wanted;
    },
    connections: () => clients.size,
    accepted: () => accepted,
    answersCut: () => answersCut,
    close: async () => {
      cut();
      if (!server.listening) return;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
