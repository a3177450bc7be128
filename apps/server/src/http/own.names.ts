import type { RequestHandler } from 'express';
import { hasKeys, isLoopback, type Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { describeValue } from '../validation/describe.value';

/**
 * A middleware for a service that has no keys because only this machine reaches it: a browser on it does too, and a page
 * can make its own name lead here (DNS rebinding), so that the browser lets it read the replies. The name is then
 * still in the Host.
 */
export function ownNames(config: Config): RequestHandler {
  if (hasKeys(config) || !isLoopback(config.HOST)) return (_request, _response, next) => next();
  const { SERVICE_URL } = config;
  const ours = SERVICE_URL && nameIn(new URL(SERVICE_URL).host);
  return ({ headers: { host } }, _response, next) => {
    // No browser leaves it out; requireHost asks for it where HTTP does.
    const name = host === undefined ? 'localhost' : nameIn(host);
    if (name !== undefined && (isLoopback(name) || name === ours)) return next();
    const sentence =
      `Expected a Host of this machine (localhost, 127.0.0.1 or [::1]) but received ${describeValue(host)}: ` +
      'others are answered where SERVICE_URL names them, or where callers need keys (API_KEYS_FILE)';
    next(new ServiceError('misdirected_request', sentence));
  };
}

/** Without the port, in lower case and, of IPv6, without brackets; undefined: none that a browser sends. */
function nameIn(host: string): string | undefined {
  const [, address, name] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/?#@\\]+))(?::\d*)?$/i.exec(host) ?? [];
  return (address ?? name)?.toLowerCase();
}
