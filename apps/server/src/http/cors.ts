import type { CorsOptions } from '@nestjs/common/interfaces/external/cors-options.interface';
import type { Config } from '@app/config';

/** Seconds for which a browser need not ask again. */
const MAX_AGE = 7_200;

/**
 * What pages of CORS_ORIGINS may do: everything that a key allows. They send it themselves, so no cookies or other
 * credentials of the browser are asked for, and every header is welcome.
 */
export const cors = ({ CORS_ORIGINS }: Config): CorsOptions => ({
  origin: CORS_ORIGINS.includes('*') ? '*' : CORS_ORIGINS,
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
  exposedHeaders: [
    'Retry-After',
    'RateLimit',
    'RateLimit-Policy',
    'Location',
    'x-request-id',
    'x-should-retry',
    'Idempotency-Replayed',
    'Preference-Applied',
    'ETag',
    'Allow',
    'WWW-Authenticate',
  ],
  maxAge: MAX_AGE,
});
