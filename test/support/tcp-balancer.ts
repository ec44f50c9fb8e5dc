/** A plain TCP balancer: each connection goes to the next target that takes it, bytes go through as they come and no faster than they are taken, and a test can cut what it likes. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Random } from '../../src/env/random.ts';

export type TcpBalancer = {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** Ports on this machine, from now on; connections to others stay. */
  setTargets(ports: readonly number[]): void;
  /** Cuts about this share of the connections. @returns how many. */
  cut(share: number, random: Random): number;
  connections(): number;
  close(): Promise<void>;
};

export async function startTcpBalancer(): Promise<TcpBalancer> {
  let targets: readonly number[] = [];
  let turn = 0;
  const pairs = new Set<() => void>();

  function join(incoming: Socket, outgoing: Socket): void {
    const end = (): void => {
      pairs.delete(end);
      incoming.destroy();
      outgoing.destroy();
    };
    pairs.add(end);
    for (const socket of [incoming, outgoing]) socket.setNoDelay().on('close', end).on('error', end);
    incoming.pipe(outgoing);
    outgoing.pipe(incoming);
  }

  function reach(incoming: Socket, triesLeft: number): void {
    const port = targets[turn++ % Math.max(1, targets.length)];
    if (port === undefined || triesLeft === 0) {
      incoming.destroy();
      return;
    }
    const outgoing = connect({ host: '127.0.0.1', port });
    const refused = (): void => reach(incoming, triesLeft - 1);
    outgoing.once('error', refused).once('connect', () => {
      outgoing.off('error', refused);
      if (incoming.destroyed) outgoing.destroy();
      else join(incoming, outgoing);
    });
  }

  const server = createServer((incoming) => {
    incoming.on('error', () => incoming.destroy());
    reach(incoming, targets.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // Listening on TCP.
  return {
    url: `http://127.0.0.1:${port}`,
    setTargets: (ports) => {
      targets = ports;
    },
    cut: (share, random) => {
      const chosen = [...pairs].filter(() => random.next() < share);
      for (const end of chosen) end();
      return chosen.length;
    },
    connections: () => pairs.size,
    close: async () => {
      for (const end of [...pairs]) end();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
