import type { RequestHandler } from 'express';

/**
 * A middleware: once `draining` aborts, each reply is the last of its connection, also one that was asked for before. A
 * client that kept it would meet a closed port next.
 */
export function lastReplies(draining: AbortSignal): RequestHandler {
  return (_request, response, next) => {
    // Node calls this for every reply, as late as can be.
    const writeHead = response.writeHead.bind(response) as (...head: unknown[]) => typeof response;
    response.writeHead = (...head: unknown[]) => {
      if (draining.aborted) response.setHeader('Connection', 'close');
      return writeHead(...head);
    };
    next();
  };
}
