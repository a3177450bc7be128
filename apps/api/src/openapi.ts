import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { aboutService } from './service.version';

/** The API document; its texts are the comments of controllers and DTOs. */
export function describeApi(app: INestApplication): OpenAPIObject {
  const { name, version, description } = aboutService();
  const config = new DocumentBuilder()
    .setTitle(name)
    .setDescription(
      `${description}.\n\nEvery error has the shape \`{"error":{"message","type","param","code"},"request_id"}\`. ` +
        'Permanent ones carry `x-should-retry: false`, passing ones `Retry-After`. Every reply has an `x-request-id`: ' +
        'that of the request, else one of the service.',
    )
    .setVersion(version)
    .addTag('images', 'Pictures: made and stored')
    .addTag('jobs', 'Requests on their way to a picture: followed, listed, cancelled')
    .addTag('users', 'Avatars and photos to draw from')
    .addTag('models', 'What can be asked for')
    .addTag('health', 'For probes and load balancers')
    .build();
  return SwaggerModule.createDocument(app, config, {
    operationIdFactory: (_controller, method) => method,
  });
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
