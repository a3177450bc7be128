import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Injectable } from '@nestjs/common';
import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator } from 'express-rate-limit';
import { Config, connectionsPerCaller } from '@app/config';
import { ServiceError } from '@app/errors';
import { refuseSocket } from './client.errors';
import { HttpLimits } from './http.limits';
import { Refusals } from './refusals';
import { Tally } from './tally';

/** A connection beyond a bound. */
interface Spare {
  readonly address: string;
  readonly reason: 'address' | 'connections';
  readonly error: ServiceError;
}

/**
 * Bounds connections: all of a server, and those of one address. Whoever comes beyond them gets a spare place, where
 * probes are answered, and everything else is refused: a balancer must not take a process for dead because somebody
 * holds all it may.
 */
@Injectable()
export class Connections {
  private readonly spares = new WeakMap<Socket, Spare>();
  private readonly mostPerAddress: number;

  constructor(
    private readonly config: Config,
    private readonly limits: HttpLimits,
    private readonly refusals: Refusals,
  ) {
    // Behind proxies connections are the proxies'; callerBounds counts what comes through them.
    this.mostPerAddress = config.TRUST_PROXY > 0 ? Infinity : connectionsPerCaller(config);
  }

  watch(server: Server): void {
    const regular = new Tally();
    const spare = new Map<Socket, string>();
    server.on('connection', (socket: Socket) => {
      const address = ipKeyGenerator(socket.remoteAddress ?? '');
      const refusal = this.refusalFor(address, regular);
      if (refusal) {
        this.spares.set(socket, refusal);
        this.keep(spare, socket, address);
      } else {
        regular.add(address);
        socket.once('close', () => regular.remove(address));
      }
    });
  }

  /** A middleware, the first of all: what is refused here is not worth a line of its own. */
  readonly handler: RequestHandler = (request, response, next) => {
    const spare = this.spares.get(request.socket);
    if (!spare) return next();
    if (isProbe(request)) {
      response.setHeader('Connection', 'close');
      return next();
    }
    this.note(spare);
    refuseSocket(request.socket, spare.error, this.limits.linger);
  };

  private refusalFor(address: string, regular: Tally): Spare | undefined {
    const { MAX_CONNECTIONS } = this.config;
    if (regular.of(address) >= this.mostPerAddress) {
      const sentence = `Expected at most ${this.mostPerAddress} connections from one address at a time`;
      return { address, reason: 'address', error: new ServiceError('too_many_connections', sentence) };
    }
    if (regular.total < MAX_CONNECTIONS) return undefined;
    const sentence = 'As many connections are open as the service takes; send the request again';
    return { address, reason: 'connections', error: new ServiceError('connections_full', sentence) };
  }

  /** For a short time. When there are too many, one goes of the address that has most: others' probes stay. */
  private keep(spare: Map<Socket, string>, socket: Socket, address: string): void {
    const end = (each: Socket) => {
      this.note(this.spares.get(each)!);
      each.destroy();
    };
    const timer = setTimeout(() => end(socket), this.limits.spareTimeout).unref();
    socket.once('close', () => {
      clearTimeout(timer);
      spare.delete(socket);
    });
    spare.set(socket, address);
    if (spare.size <= this.limits.spareConnections) return;
    const most = mostOften([...spare.values()]);
    const [oldest] = [...spare.keys()].filter((each) => spare.get(each) === most);
    spare.delete(oldest);
    end(oldest);
  }

  private note({ address, reason, error }: Spare): void {
    this.refusals.note(reason, { address }, error.message);
  }
}

/** Orchestrators and balancers end or leave a process that does not answer these. */
export const isProbe = ({ path }: Request): boolean => /^\/health(?:\/|$)/i.test(path);

function mostOften(names: readonly string[]): string {
  const tally = new Tally();
  names.forEach((name) => tally.add(name));
  return names.reduce((most, name) => (tally.of(name) > tally.of(most) ? name : most));
}
