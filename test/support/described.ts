import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';

/** One call of the service, as far as the API document describes it. */
export interface Exchange {
  readonly method: string;
  /** Path with or without a query. */
  readonly path: string;
  /** A JSON body. */
  readonly sent?: unknown;
  readonly status: number;
  readonly header: (name: string) => string | null | undefined;
  /** undefined: not to be looked at, as bytes and streams. */
  readonly text?: string;
}

interface Operation {
  readonly requestBody?: { readonly content: Record<string, object> };
  readonly responses: Record<string, { readonly content?: object; readonly headers?: object }>;
}
interface Document {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, Schema> };
}
interface Schema {
  readonly properties?: object;
  additionalProperties?: boolean;
}

const DOCUMENT = JSON.parse(readFileSync(join(__dirname, '../../openapi.json'), 'utf8')) as Document;
// Callers are to expect more fields. Here one that is not described is a mistake.
for (const schema of Object.values(DOCUMENT.components.schemas)) {
  if (schema.properties) schema.additionalProperties ??= false;
}
const ajv = addFormats(new Ajv2020({ strict: false, allErrors: true })).addSchema(DOCUMENT, 'openapi.json');

const TEMPLATES = Object.keys(DOCUMENT.paths).map((path) => ({
  path,
  // Slashes of a key may come as they are.
  pattern: new RegExp(`^${path.replace(/\{key\}/, '.+').replace(/\{\w+\}/g, '[^/]+')}/?$`),
}));

/**
 * Throws where a reply is not what openapi.json says, or the document would refuse a body that the service took. Only
 * replies of the whole service count, which all have an id: others are of the parts of it that a spec has put together.
 */
export function assertDescribed({ method, path, sent, status, header, text }: Exchange): void {
  const [plain] = path.split('?', 1);
  const template = TEMPLATES.find(({ pattern }) => pattern.test(plain))?.path;
  const verb = method === 'HEAD' ? 'get' : method.toLowerCase();
  const operation = template === undefined ? undefined : DOCUMENT.paths[template][verb];
  if (!operation || header('x-request-id') === undefined || header('x-request-id') === null) return;
  const call = `${method} ${plain}`;
  const pointer = ['paths', template!, verb];
  // A worker has but a few of the routes.
  if (status === 404 && text?.includes('There is nothing at')) return;
  const reply = operation.responses[status];
  if (!reply) throw new Error(`${call} answered ${status}, which openapi.json does not know: ${text}`);
  for (const name of Object.keys(reply.headers ?? {})) {
    const value = header(name) ?? undefined;
    if (value !== undefined) assertHeader(`${call}: ${status}: ${name}`, name, value);
  }
  // Of a body that is not sent.
  const type = status === 304 ? undefined : header('content-type')?.split(';', 1)[0];
  if (method !== 'HEAD' && type !== undefined && !(type in (reply.content ?? {}))) {
    throw new Error(`${call} answered ${status} with ${type}, which openapi.json does not know`);
  }
  if (type === 'application/json' && text) {
    assertValid(
      `${call}: ${status}`,
      [...pointer, 'responses', String(status), 'content', type, 'schema'],
      JSON.parse(text),
    );
  }
  if (sent !== undefined && status < 300 && operation.requestBody) {
    assertValid(call, [...pointer, 'requestBody', 'content', 'application/json', 'schema'], sent);
  }
}

/** The same of one event of a stream, by its fields. `operation`: path and method of its route. */
export function assertEventDescribed(
  event: Readonly<Record<string, string>>,
  operation: readonly [string, string] = ['/v1/jobs/{id}/events', 'get'],
): void {
  const stream = ['paths', ...operation, 'responses', '200', 'content', 'text/event-stream', 'schema'];
  assertValid('An event', stream, event);
  const { oneOf } = at(stream) as { oneOf: { properties: { event: { enum: string[] } } }[] };
  const kind = oneOf.findIndex(({ properties }) => properties.event.enum[0] === event.event);
  const data = [...stream, 'oneOf', String(kind), 'properties', 'data', 'contentSchema'];
  assertValid(`The data of ${event.event}`, data, JSON.parse(event.data));
}

const at = (pointer: string[]): unknown =>
  pointer.reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], DOCUMENT);

function assertHeader(what: string, name: string, value: string): void {
  const rule = ['components', 'headers', name, 'schema'];
  const validate = validator(rule);
  if (validate(value) || (/^\d+$/.test(value) && validate(Number(value)))) return;
  throw new Error(`${what} is ${String(value)}, unlike openapi.json: ${ajv.errorsText(validate.errors)}`);
}

function assertValid(what: string, pointer: string[], value: unknown): void {
  const validate = validator(pointer);
  if (validate(value)) return;
  throw new Error(
    `${what} is not as openapi.json says: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(value)}`,
  );
}

function validator(pointer: string[]): ValidateFunction {
  const escaped = pointer.map((part) => encodeURIComponent(part.replace(/~/g, '~0').replace(/\//g, '~1')));
  const $ref = `openapi.json#/${escaped.join('/')}`;
  return ajv.getSchema($ref) ?? ajv.compile({ $ref });
}
