/**
 * The shell that stands between us and the embedded PostgreSQL, so that the server ends when we do, however we end.
 *
 * It starts the server and reads from a pipe whose other end only we hold. A line on the pipe is an orderly stop; the end of the pipe
 * without a line means that we are gone (SIGKILL included), and the server is stopped as well. It runs in a session of its own, so that
 * Ctrl-C in the terminal reaches us alone and the server outlives our own orderly shutdown.
 */
import { spawn } from 'node:child_process';
import { type ServerUser, serverEnvironment } from './embedded-files.ts';

/**
 * $1 the folder of a throw-away server, or empty: removed here only when we are gone, else by us, who may want to read the log first.
 * The rest is the server's command.
 *
 * SIGINT is PostgreSQL's fast shutdown (clients are cut, data is written out), SIGQUIT its immediate one (recovery at the next start; it
 * kills what does not follow within 5 s). After an orderly request the fast one has 30 s, after our death 3 s. The loop counts tenths of
 * a second and the traps wait for the one at hand, so that no `sleep` remains behind. Status 7 is the reader's word for "the owner is
 * gone".
 */
const SCRIPT = `
remove=$1
shift
exec 4<&0
"$@" </dev/null 4<&- &
server=$!
end() {
  kill "-$1" "$server" || return
  tenths=$2
  while [ "$tenths" -gt 0 ] && kill -0 "$server"; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
}
(
  if read -r _ <&4; then
    verdict=0
    patience=300
  else
    verdict=7
    patience=30
  fi
  trap 'exit $verdict' TERM
  end INT "$patience"
  end QUIT 70
  end KILL 10
  exit "$verdict"
) >/dev/null 2>&1 &
reader=$!
wait "$server"
status=$?
kill "$reader" 2>/dev/null
wait "$reader" 2>/dev/null
if [ $? -eq 7 ] && [ -n "$remove" ]; then rm -rf "$remove" 2>/dev/null; fi
exit "$status"
`;

export type SupervisedServer = {
  /** The server's exit status, once it has ended; null when the supervisor itself was killed. */
  readonly exited: Promise<number | null>;
  /** Asks for an orderly stop; `exited` tells when it is done. Harmless when repeated. */
  requestStop(): void;
};

export type SupervisorOptions = {
  readonly command: string;
  readonly args: readonly string[];
  readonly user: ServerUser;
  /** An open file that takes the server's output. */
  readonly logDescriptor: number;
  /** Removed by the supervisor when it outlives us; null: kept. */
  readonly removeWhenOrphaned: string | null;
};

/** Starts the server under its supervisor; rejects when there is no shell to start. Neither keeps this process alive: an exit without a stop stops the server too. */
export async function superviseServer(options: SupervisorOptions): Promise<SupervisedServer> {
  const child = spawn(
    '/bin/sh',
    ['-c', SCRIPT, 'sluice-postgres', options.removeWhenOrphaned ?? '', options.command, ...options.args],
    {
      cwd: '/',
      detached: true,
      env: serverEnvironment(),
      stdio: ['pipe', options.logDescriptor, options.logDescriptor],
      ...(options.user === null ? {} : { uid: options.user.uid, gid: options.user.gid }),
    },
  );
  // The pipe breaks when the server ended by itself; `exited` reports that.
  child.stdin?.on('error', () => undefined);
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (status) => resolve(status));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
  return {
    exited,
    requestStop: () => {
      if (child.stdin?.writable === true) child.stdin.end('stop\n');
      child.ref();
    },
  };
}
