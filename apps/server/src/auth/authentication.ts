import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Request, RequestHandler } from 'express';
import { Config, hasKeys } from '@app/config';
import { apiKeyOf, grant, presented, unauthorized } from './api.key';
import { KeyRing } from './key.ring';
import { RateLimit } from './rate.limit';

/** What strangers may see. */
const OPEN = /^\/(?:(?:docs|health)(?:\/.*)?|openapi\.(?:json|yaml)|metrics\/?)?$/i;
/** Where a signature lets in. */
const SIGNED = /^\/(?:images\/|v1\/jobs\/[^/?]+\/events\/?\?(?:.*&)?signature=)/i;
const BEARER = /^Bearer +(\S+) *$/i;
const BASIC = /^Basic +([A-Za-z0-9+/]+=*) *$/i;

/**
 * Who may come in: known keys, at a bounded rate. Nothing of a stranger's body is
 * read. What a key may do there is the question of scope.guard.ts, and then the route reads the body.
 */
export function authenticate(app: NestExpressApplication): void {
  const config = app.get(Config);
  app.set('trust proxy', config.TRUST_PROXY);
  if (hasKeys(config)) app.use(identify(app.get(KeyRing)));
  app.use(app.get(RateLimit).handler);
  if (hasKeys(config)) app.use(authorise);
}

const identify =
  (ring: KeyRing): RequestHandler =>
  (request, _response, next) => {
    const key = keyIn(request.headers.authorization ?? '');
    const access = key === undefined ? undefined : ring.find(key);
    if (access) grant(request, access);
    next();
  };

/** Front ends that know user names and passwords alone send the key as the password, under any name. */
function keyIn(authorization: string): string | undefined {
  const [, bearer] = BEARER.exec(authorization) ?? [];
  const [, basic] = BASIC.exec(authorization) ?? [];
  if (basic === undefined) return bearer;
  const pair = Buffer.from(basic, 'base64').toString();
  return pair.slice(pair.indexOf(':') + 1);
}

const authorise: RequestHandler = (request, _response, next) => {
  if (apiKeyOf(request) || OPEN.test(request.path) || mayBeSigned(request)) return next();
  next(unauthorized(presented(request)));
};

/**
 * What pages show and follow, they ask for without a key: the route looks at the signature itself, and at what else came
 * only after it. A proxy's credentials, for one, are no key.
 */
const mayBeSigned = ({ method, url }: Request): boolean =>
  (method === 'GET' || method === 'HEAD') && SIGNED.test(url);
