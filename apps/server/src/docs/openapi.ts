import { isDeepStrictEqual } from 'node:util';
import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { Config, hasKeys } from '@app/config';
import { SCOPES } from '../auth/api.key';
import { KEY_SCHEME } from '../auth/scope.decorators';
import { isTolerantSchema } from '../validation/unknown.fields';
import { aboutService } from './service.version';
import { describeForms } from './forms';
import { toOpenApi31 } from './openapi.31';
import { describeHeaders } from './response.headers';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

const ABOUT_KEYS =
  `A key of the service. It has some of the scopes ${SCOPES.join(', ')}; \`x-scope\` of a route is the one that it needs. ` +
  "A key may be bound to a user: for it, everything that is not that user's does not exist. " +
  'It may come as the password of HTTP Basic too, under any name.';

/** The API document; its texts are the comments of controllers and DTOs. */
export function describeApi(app: INestApplication): OpenAPIObject {
  const { name, version, description } = aboutService();
  const settings = app.get(Config);
  const keys = hasKeys(settings);
  const config = new DocumentBuilder()
    .setTitle(name)
    .setDescription(
      `${description}.\n\nEvery error has the shape \`{"error":{"message","type","param","code"},"request_id"}\`. ` +
        'Permanent ones carry `x-should-retry: false`, transient ones `Retry-After`. Every reply has an `x-request-id`: ' +
        'that of the request, else one of the service. `RateLimit` and `RateLimit-Policy` tell how many requests may ' +
        'still come.\n\n' +
        'GET routes answer HEAD too. Other methods are answered 405 `method_not_allowed` with `Allow`, other paths 404; ' +
        'a Host that is none of the service, where it has no keys and listens to its own machine alone, 421 ' +
        '`misdirected_request`.\n\n' +
        'A service without keys asks for none: there 401 `unauthorized` and 403 `forbidden` do not occur.',
    )
    .addServer(settings.SERVICE_URL ?? '/')
    .setVersion(version)
    .setOpenAPIVersion('3.1.0')
    .addTag('images', 'Pictures: made and stored')
    .addTag('jobs', 'Requests on their way to a picture: followed, listed, cancelled')
    .addTag('users', 'Avatars and photos to draw from')
    .addTag('models', 'What can be asked for')
    .addTag(
      'automatic1111',
      "For front ends of AUTOMATIC1111's web UI: a translation of its routes into those above",
    )
    .addTag('huggingface', "For Hugging Face's InferenceClient: likewise")
    .addTag('service', 'What this is')
    .addTag('health', 'For probes and load balancers');
  const scheme = { type: 'http', scheme: 'bearer', description: ABOUT_KEYS } as const;
  if (keys) config.addSecurity(KEY_SCHEME, scheme).addSecurityRequirements(KEY_SCHEME);
  const document = SwaggerModule.createDocument(app, config.build(), {
    operationIdFactory: (_controller, method) => method,
  });
  closeRequests(document);
  describeForms(document);
  describeHeaders(document);
  toOpenApi31(document);
  for (const operation of operations(document)) {
    if (keys) tellExceptions(operation);
    else forgetKeys(operation);
  }
  return document;
}

const operations = ({ paths }: OpenAPIObject) =>
  Object.values(paths).flatMap((path) => Object.values(path) as Operation[]);

/** The document asks for a key once; operations only say where that is not so. */
function tellExceptions(operation: Operation): void {
  operation.security ??= [];
  if (isDeepStrictEqual(operation.security, [{ [KEY_SCHEME]: [] }])) delete operation.security;
}

/** Where everybody may call, no route asks for a key, and none misses it. */
function forgetKeys(operation: Operation): void {
  delete operation.security;
  delete operation.responses['401'];
  delete operation.responses['403'];
}

/** The validation refuses fields that it does not know, or passes over them (RequestPipe); a class cannot tell the document. */
function closeRequests({ paths, components }: OpenAPIObject): void {
  const schemas = components?.schemas ?? {};
  const close = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      const schema = schemas[name];
      if ('$ref' in schema || schema.additionalProperties !== undefined) continue;
      schema.additionalProperties = isTolerantSchema(name);
      close(schema);
    }
  };
  close(Object.values(paths).map(({ post }) => post?.requestBody ?? {}));
}

/** /docs for people, /openapi.json for programs. */
export function serveApiDocs(app: INestApplication): void {
  const document = describeApi(app);
  SwaggerModule.setup('docs', app, document, {
    jsonDocumentUrl: 'openapi.json',
    yamlDocumentUrl: 'openapi.yaml',
    customSiteTitle: document.info.title,
  });
}
