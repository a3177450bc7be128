import type { RequestHandler } from 'express';
import type { HttpLimits } from './http.limits';

/**
 * A client that was answered before its body was in may end it, so that it reads the answer and keeps its connection;
 * one that does not end is cut.
 */
export function unreadBodies({ linger }: HttpLimits): RequestHandler {
  return (request, response, next) => {
    response.once('finish', () => {
      if (request.complete) return;
      request.resume();
      setTimeout(() => {
        if (!request.complete) request.socket.destroy();
      }, linger).unref();
    });
    next();
  };
}
