/** When nobody is there any more to read an answer. */
import type { ServerResponse } from 'node:http';

/**
 * Calls `then` once, when the response or its connection has closed; at once, where that was before. The connection is listened to as well: a
 * response that waits behind another one of its connection is never told that it is over.
 */
export function onceGone(response: ServerResponse, then: () => void): void {
  const { socket } = response.req;
  if (response.destroyed || socket.destroyed) {
    then();
    return;
  }
  const gone = (): void => {
    response.off('close', gone);
    socket.off('close', gone);
    then();
  };
  response.on('close', gone);
  socket.on('close', gone);
}
