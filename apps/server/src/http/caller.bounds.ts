import type { Request, RequestHandler } from 'express';
import { connectionsPerCaller, type Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { isProbe } from './connections';
import type { Caller, Refusals } from './refusals';
import { Tally } from './tally';

/**
 * A middleware: so many requests of one key, or without one of an address, are open at a time. Bounds of connections do
 * not see who comes through a proxy, nor a key that is used from many addresses.
 */
export function callerBounds(
  config: Config,
  refusals: Refusals,
  callerOf: (request: Request) => Caller,
): RequestHandler {
  const most = connectionsPerCaller(config);
  const open = new Tally();
  return (request, response, next) => {
    if (isProbe(request)) return next();
    const caller = callerOf(request);
    const { name, key } = caller;
    if (open.of(name) >= most) {
      const whose = key === undefined ? 'one address' : 'one key';
      const sentence = `Expected at most ${most} open requests of ${whose} at a time`;
      refusals.note('caller', caller, sentence);
      return next(new ServiceError('too_many_connections', sentence));
    }
    open.add(name);
    response.once('close', () => open.remove(name));
    next();
  };
}
