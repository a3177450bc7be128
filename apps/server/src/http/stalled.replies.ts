import type { Request, RequestHandler } from 'express';
import type { HttpLimits } from './http.limits';
import type { Caller, Refusals } from './refusals';

/** A middleware: a reply of which its client takes nothing more is cut, and what it holds is freed. */
export function stalledReplies(
  { replyTimeout }: HttpLimits,
  refusals: Refusals,
  callerOf: (request: Request) => Caller,
): RequestHandler {
  return (request, response, next) => {
    // Node's timer sees bytes of one large write being taken, which no stream does; each write begins it anew.
    response.setTimeout(replyTimeout, () => {
      if (response.writableLength === 0) return; // the reply is yet to come
      refusals.note('stalled', callerOf(request), 'A client took no more of its reply');
      response.destroy();
    });
    next();
  };
}
