import type { IncomingMessage, Server } from 'node:http';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import helmet from 'helmet';
import { Logger } from 'nestjs-pino';
import { pinoHttp } from 'pino-http';
import { Config } from '@app/config';
import { MAX_PICTURE_BYTES } from '@app/pipeline';
import { admit } from './access/admission';
import { AppModule } from './app.module';
import { requestLog } from './logging';
import { serveApiDocs } from './openapi';
import { PICTURE_TYPES } from './users/users.service';

const JSON_LIMIT = 100 * 1024;
const USER_PICTURE = /^\/v1\/users\/[^/]+\/(avatar|photo)\/?(\?|$)/i;

/** The application, ready to listen. */
export async function createApp(config: Config): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot(config), {
    bufferLogs: true, // until the real logger is there
    bodyParser: false, // ours have limits
    abortOnError: false, // main.ts says in one sentence what went wrong
  });
  app.useLogger(app.get(Logger));
  setUp(app);
  return app;
}

/** Everything about HTTP that is not a route; specs call it on applications of their own. */
export function setUp(app: NestExpressApplication): void {
  app.use(pinoHttp(requestLog(app.get(Config))));
  app.use(
    helmet({
      contentSecurityPolicy: {
        // The service speaks plain HTTP; whoever puts TLS in front decides about upgrades and HSTS.
        directives: { upgradeInsecureRequests: null },
      },
      strictTransportSecurity: false,
    }),
  );
  if (app.get(Config).ROLE !== 'worker') admit(app);
  app.useBodyParser('json', { limit: JSON_LIMIT });
  app.useBodyParser('raw', { limit: MAX_PICTURE_BYTES, type: isUserPicture });
  serveApiDocs(app);

  const server: Server = app.getHttpServer();
  server.headersTimeout = 20_000;
  server.requestTimeout = 120_000; // receiving a request, not answering it: a picture may take longer
  server.keepAliveTimeout = 75_000; // longer than load balancers keep idle connections (60 s), or they see resets
}

/** Pictures are told apart by content, so a body without a Content-Type (`curl -T`) is welcome. */
function isUserPicture({ method, url = '', headers }: IncomingMessage): boolean {
  const type = headers['content-type']?.split(';', 1)[0].trim().toLowerCase();
  const welcome = type === undefined || PICTURE_TYPES.includes(type);
  return method === 'PUT' && USER_PICTURE.test(url) && welcome;
}
