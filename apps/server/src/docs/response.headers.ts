import type { OpenAPIObject } from '@nestjs/swagger';

/** What replies carry beside their body, once for the whole document. */
const HEADERS = {
  'x-request-id': text(
    'The id of the request: its own `x-request-id`, else one of the service. It is in the log too.',
  ),
  RateLimit: text('How many requests may still come, by `key` or by `address` (draft-8 of the IETF)', {
    example: '"key"; r=119; t=60',
  }),
  'RateLimit-Policy': text('How many requests a minute are allowed', { example: '"key"; q=120; w=60' }),
  'Retry-After': {
    description: 'Seconds to wait before the request is sent again; with 202, until the job may be done',
    schema: { type: 'integer', minimum: 1 },
  },
  'x-should-retry': text('A retry cannot help', { enum: ['false'] }),
  'WWW-Authenticate': text('How to authenticate', { enum: ['Bearer'] }),
  Location: text('Address of the job', { pattern: '^(/.+)?/v1/jobs/[0-9a-f]{24}$' }),
  'Preference-Applied': text('The preference that was followed (RFC 7240)', {
    pattern: '^(respond-async|wait=\\d+)$',
  }),
  'Idempotency-Replayed': text('The `Idempotency-Key` was used before: this is the picture or job of then', {
    enum: ['true'],
  }),
  'Cache-Control': text('How long the reply may be kept, and by whom'),
  ETag: text('Names this version of the body, for If-None-Match'),
  'Last-Modified': text('When the picture was stored'),
} as const;

export type HeaderName = keyof typeof HEADERS;

function text(description: string, rules: object = {}) {
  return { description, schema: { type: 'string', ...rules } };
}

const reference = (name: string) => ({ $ref: `#/components/headers/${name}` });

/** The headers of one reply, by reference. */
export const headers = (...names: HeaderName[]) =>
  Object.fromEntries(names.map((name) => [name, reference(name)]));

/** Probes and scrapers are not counted (RateLimit). */
const NOT_COUNTED = /^\/(health|metrics)(\/|$)/;

interface Reply {
  headers?: Record<string, unknown>;
}

/** Adds the headers that routes need not name, and makes known ones references. */
export function describeHeaders({ paths, components = {} }: OpenAPIObject): void {
  components.headers = { ...HEADERS };
  for (const [path, item] of Object.entries(paths)) {
    for (const { responses } of Object.values(item as Record<string, { responses: Record<string, Reply> }>)) {
      for (const [status, reply] of Object.entries(responses)) {
        const named = Object.entries(reply.headers ?? {}).map(
          ([name, header]) => [name, name in HEADERS ? reference(name) : header] as const,
        );
        reply.headers = {
          ...Object.fromEntries<unknown>(named),
          ...(status === '401' && headers('WWW-Authenticate')),
          ...headers('x-request-id'),
          ...(!NOT_COUNTED.test(path) && headers('RateLimit', 'RateLimit-Policy')),
        };
      }
    }
  }
}
