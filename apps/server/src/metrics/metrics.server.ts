import { once } from 'node:events';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { RequestHandler } from 'express';
import { Config, ConfigError } from '@app/config';
import { ServiceError } from '@app/errors';
import { Connections } from '../http/connections';
import { HttpLimits } from '../http/http.limits';
import { boundedServer } from '../http/http.server';
import { PROBES } from '../http/probes';

/** On shutdown replies get this long to end, in milliseconds. */
const PATIENCE = 1_000;

/** With METRICS_PORT a second server over the same application; the port decides what each of the two answers. */
@Injectable()
export class MetricsServer implements OnApplicationBootstrap, OnApplicationShutdown {
  private server?: Server;

  constructor(
    private readonly config: Config,
    private readonly limits: HttpLimits,
    private readonly adapter: HttpAdapterHost,
    private readonly connections: Connections,
  ) {}

  /** A middleware: health and metrics on their port and nowhere else, nothing else there. */
  readonly separate: RequestHandler = ({ path, socket }, _response, next) => {
    const here = this.server !== undefined && socket.localPort === this.port;
    if (this.server === undefined || here === PROBES.test(path)) next();
    else next(new ServiceError('not_found', `There is nothing at ${path} on this port`));
  };

  get port(): number | undefined {
    return (this.server?.address() as AddressInfo | undefined)?.port;
  }

  async onApplicationBootstrap(): Promise<void> {
    const { METRICS_PORT, HOST } = this.config;
    if (METRICS_PORT === undefined) return;
    this.server = boundedServer(this.adapter.httpAdapter.getInstance<RequestListener>(), this.limits);
    this.connections.watch(this.server);
    this.server.listen(METRICS_PORT, HOST);
    try {
      await once(this.server, 'listening');
    } catch (error) {
      const sentence = `METRICS_PORT ${METRICS_PORT} cannot be listened on: ${(error as Error).message}`;
      throw new ConfigError(sentence);
    }
    new Logger('MetricsServer').log(`Health and metrics at port ${this.port}`);
  }

  /** After the other server has closed: probes are answered to the end. */
  async onApplicationShutdown(): Promise<void> {
    const { server } = this;
    if (!server?.listening) return;
    const closed = once(server.close(), 'close');
    setTimeout(() => server.closeAllConnections(), PATIENCE).unref();
    await closed;
  }
}
