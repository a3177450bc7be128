import { createServer, type RequestListener, type Server } from 'node:http';
import { ExpressAdapter } from '@nestjs/platform-express';
import { answerClientErrors } from './client.errors';
import type { HttpLimits } from './http.limits';
import { Pipelining } from './pipelining';

/** Nest's adapter over a server of ours: some bounds can only be set when the server is made. */
export class BoundedAdapter extends ExpressAdapter {
  constructor(private readonly limits: HttpLimits) {
    super();
  }

  /** TLS is the business of whoever stands in front. */
  override initHttpServer(): void {
    this.httpServer = boundedServer(this.getInstance<RequestListener>(), this.limits);
  }
}

/** A server that slow, large and broken requests cannot keep busy. */
export function boundedServer(listener: RequestListener, limits: HttpLimits): Server {
  const pipelining = new Pipelining(listener, limits);
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeout,
      requestTimeout: limits.requestTimeout,
      keepAliveTimeout: limits.keepAliveTimeout,
      connectionsCheckingInterval: limits.checkInterval,
      requireHostHeader: false, // the middleware requireHost says it with a request id
    },
    pipelining.take,
  );
  // Whoever reads the body says "100 Continue": a client that waits for it sends nothing that is refused unread.
  // Other expectations are ignored, as RFC 9110 allows.
  for (const expectation of ['checkContinue', 'checkExpectation'] as const) {
    server.on(expectation, (request, response) => server.emit('request', request, response));
  }
  answerClientErrors(server, pipelining, limits);
  return server;
}
