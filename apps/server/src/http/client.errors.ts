import { randomUUID } from 'node:crypto';
import { STATUS_CODES, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Logger } from '@nestjs/common';
import type { RequestHandler } from 'express';
import { ERRORS, ServiceError } from '@app/errors';
import { errorBody, retryHeader } from '../errors/error.body';
import type { HttpLimits } from './http.limits';
import type { Pipelining } from './pipelining';

/** The connection ended within a request. */
const LEFT = 'HPE_INVALID_EOF_STATE';

/** Answers what never becomes a request: malformed HTTP, too large or too slow headers, slow bodies, CONNECT. */
export function answerClientErrors(
  server: Server,
  pipelining: Pipelining,
  { headerBytes, linger }: HttpLimits,
): void {
  const logger = new Logger('HttpServer');
  const refused = new WeakSet<Duplex>();

  const refuse = (socket: Duplex, error: ServiceError, hasLeft = false): void => {
    if (refused.has(socket)) return; // the parser complains again about whatever follows
    refused.add(socket);
    const reply = pipelining.replyOf(socket);
    const isUnderWay = reply !== undefined && !(reply.closed && reply.req.complete);
    // Gone, or answered already, where a second reply would be taken for the rest of the first.
    if (!socket.writable || (isUnderWay && (reply.headersSent || hasLeft))) {
      socket.destroy();
      return;
    }
    const requestId = randomUUID();
    logger.warn({ reqId: requestId, code: error.code }, error.message);
    endWith(socket, replyText(error, requestId), linger);
  };

  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    refuse(socket, reasonOf(error.code, headerBytes), error.code === LEFT);
  });
  server.on('connect', (_request, socket) => {
    refuse(socket, new ServiceError('method_not_allowed', 'This is no proxy: it does not CONNECT'));
  });
}

/** Answers instead of a route, and closes the connection. */
export function refuseSocket(socket: Duplex, error: ServiceError, linger: number): void {
  endWith(socket, replyText(error, randomUUID()), linger);
}

/** Closed at once, while the client still sends, the connection would be reset and the reply lost. */
function endWith(socket: Duplex, text: string, linger: number): void {
  socket.end(text);
  setTimeout(() => socket.destroy(), linger).unref();
}

/** A middleware for what Node would refuse without a word: HTTP/1.1 asks for a Host. */
export const requireHost: RequestHandler = ({ httpVersion, headers }, _response, next) => {
  if (httpVersion !== '1.1' || headers.host !== undefined) next();
  else next(new ServiceError('invalid_request', 'Expected a Host header'));
};

function reasonOf(code: string | undefined, headerBytes: number): ServiceError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const sentence = `Expected at most ${headerBytes} bytes of headers but received more`;
    return new ServiceError('headers_too_large', sentence);
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new ServiceError('request_timeout', 'The request did not arrive in time');
  }
  if (code === LEFT) {
    return new ServiceError('invalid_request', 'The client closed the connection in the middle of a request');
  }
  return new ServiceError('invalid_request', 'Expected a valid HTTP/1.1 request');
}

function replyText(error: ServiceError, requestId: string): string {
  const { status } = ERRORS[error.code];
  const body = JSON.stringify(errorBody(error, requestId));
  const headers = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    'X-Content-Type-Options: nosniff',
    `x-request-id: ${requestId}`,
    retryHeader(error).join(': '),
    ...(status === 405 ? ['Allow: '] : []),
  ];
  return `${headers.join('\r\n')}\r\n\r\n${body}`;
}
