import { HttpAdapterHost, NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import helmet from 'helmet';
import { Logger } from 'nestjs-pino';
import { pinoHttp } from 'pino-http';
import { Config } from '@app/config';
import { Drain } from '@app/lifecycle';
import { authenticate } from './auth/authentication';
import { callerOf } from './auth/account';
import { AppModule } from './app.module';
import { callerBounds } from './http/caller.bounds';
import { Connections } from './http/connections';
import { cors } from './http/cors';
import { HttpLimits } from './http/http.limits';
import { lastReplies } from './http/last.replies';
import { BoundedAdapter } from './http/http.server';
import { requireHost } from './http/client.errors';
import { mergeSlashes } from './http/merged.slashes';
import { answerOptions } from './http/options';
import { ownNames } from './http/own.names';
import { Refusals } from './http/refusals';
import { stalledReplies } from './http/stalled.replies';
import { unreadBodies } from './http/unread.bodies';
import { carryRequestId, requestLog } from './logging';
import { Metrics } from './metrics/metrics';
import { MetricsServer } from './metrics/metrics.server';
import { serveApiDocs } from './docs/openapi';
import { TRACING, type Tracing } from './tracing/tracing';

/** The application, ready to listen. */
export async function createApp(config: Config): Promise<NestExpressApplication> {
  const adapter = new BoundedAdapter(new HttpLimits());
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot(config), adapter, {
    bufferLogs: true, // until the real logger is there
    bodyParser: false, // routes read what they take, within limits
    abortOnError: false, // main.ts says in one sentence what went wrong
  });
  app.useLogger(app.get(Logger));
  setUp(app);
  return app;
}

/** Everything about HTTP that is not a route; specs call it on applications of their own. */
export function setUp(app: NestExpressApplication): void {
  const limits = app.get(HttpLimits);
  const config = app.get(Config);
  const isCross = config.CORS_ORIGINS.length > 0;
  const refusals = app.get(Refusals);
  const connections = app.get(Connections);
  const tracing = app.get<Tracing | undefined>(TRACING);
  connections.watch(app.getHttpServer());
  app.use(
    connections.handler,
    stalledReplies(limits, refusals, callerOf),
    pinoHttp(requestLog(config)),
    carryRequestId,
    ...(tracing ? [tracing.observe] : []),
    app.get(Metrics).observe,
    lastReplies(app.get(Drain).draining),
    unreadBodies(limits),
    requireHost,
    ownNames(config),
    mergeSlashes,
  );
  app.use(app.get(MetricsServer).separate);
  app.use(
    helmet({
      contentSecurityPolicy: {
        // The service speaks plain HTTP; whoever puts TLS in front decides about upgrades and HSTS.
        directives: { upgradeInsecureRequests: null },
      },
      strictTransportSecurity: false,
      // Pages show pictures with <img>, which asks for no CORS.
      crossOriginResourcePolicy: { policy: isCross ? 'cross-origin' : 'same-origin' },
    }),
  );
  // Before anything that asks who calls: a preflight carries no key.
  if (isCross) app.enableCors(cors(config));
  else app.use(answerOptions(app.get(HttpAdapterHost)));
  if (config.ROLE !== 'worker') {
    authenticate(app);
    app.use(callerBounds(config, refusals, callerOf));
  }
  serveApiDocs(app);
}
