import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { Logger } from '@nestjs/common';
import type { HttpLimits } from './http.limits';

/** Everything that is kept for a reply listens for its end; Node takes more than 10 for a leak. */
const MOST_LISTENERS = 20;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * Serves the requests of a connection one after the other. Left alone, Node runs all that a client pipelines at once, and
 * when it leaves, emits `close` for the first of their replies only: whoever waits for another's, to free what it holds,
 * waits for ever.
 */
export class Pipelining {
  private readonly logger = new Logger('HttpServer');
  /** By connection. */
  private readonly replies = new WeakMap<Duplex, ServerResponse>();
  private readonly waiting = new WeakMap<Duplex, Exchange[]>();

  constructor(
    private readonly listener: RequestListener,
    private readonly limits: HttpLimits,
  ) {}

  /** The newest reply that was begun on the connection; it may be over. */
  replyOf(socket: Duplex): ServerResponse | undefined {
    return this.replies.get(socket);
  }

  readonly take: RequestListener = (request, response) => {
    const { socket } = request;
    const open = this.replies.get(socket);
    if (open?.closed ?? true) return this.serve({ request, response });
    const waiting = this.waiting.get(socket) ?? [];
    // A client that has the whole of a reply may be heard before the kernel says that it was sent.
    const isOver = open?.writableEnded && waiting.length === 0;
    if (isOver || (waiting.length < this.limits.pipelined && isSmall(request))) {
      this.waiting.set(socket, [...waiting, { request, response }]);
    } else if (!socket.destroyed) {
      const { pipelined } = this.limits;
      const sentence = `Expected at most ${pipelined} small requests behind an open reply but received more`;
      this.logger.warn({ address: socket.remoteAddress }, sentence);
      socket.destroy();
    }
  };

  private serve({ request, response }: Exchange): void {
    const { socket } = request;
    this.replies.set(socket, response);
    response.setMaxListeners(MOST_LISTENERS);
    response.once('close', () => {
      const [next, ...others] = this.waiting.get(socket) ?? [];
      this.waiting.set(socket, others);
      // Node gives it no socket when the reply before was the last one of its connection.
      if (next?.response.socket && !socket.destroyed) this.serve(next);
    });
    this.listener(request, response);
  }
}

/**
 * Whether Node can hold the body until somebody reads it. Of a larger one it stops reading the connection, and would not
 * see that the client leaves.
 */
const isSmall = ({ headers, readableHighWaterMark }: IncomingMessage) =>
  headers['transfer-encoding'] === undefined &&
  Number(headers['content-length'] ?? 0) < readableHighWaterMark;
