import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { aboutService } from './service.version';

/** The API document; its texts are the comments of controllers and DTOs. */
export function describeApi(app: INestApplication): OpenAPIObject {
  const { name, version, description } = aboutService();
  const config = new DocumentBuilder()
    .setTitle(name)
    .setDescription(
      `${description}.\n\nEvery error has the shape \`{"error":{"message","type","param","code"}}\`. ` +
        'Permanent ones carry `x-should-retry: false`, passing ones `Retry-After`.\n\n' +
        'GET routes answer HEAD too. Other methods are answered 405 `method_not_allowed` with `Allow`, other paths 404.',
    )
    .setVersion(version)
    .addTag('images', 'Pictures: made and stored')
    .addTag('jobs', 'Requests on their way to a picture: followed, listed, cancelled')
    .addTag('users', 'Avatars and photos to draw from')
    .addTag('models', 'What can be asked for')
    .addTag('health', 'For probes and load balancers')
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (_controller, method) => method,
  });
  closeRequests(document);
  return document;
}

/** The validation refuses fields that it does not know (RequestPipe); a class cannot tell the document. */
function closeRequests({ paths, components }: OpenAPIObject): void {
  const schemas = components?.schemas ?? {};
  const close = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      const schema = schemas[name];
      if ('$ref' in schema || schema.additionalProperties === false) continue;
      schema.additionalProperties = false;
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
