import { Catch, HttpException, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Request, Response } from 'express';
import { ERRORS, ServiceError } from '@app/errors';
import { errorBody, retryHeader } from './error.body';
import { methodsAt } from './routes';

/** Whatever goes wrong, in any layer, is answered in one shape: {"error":{…},"request_id":"…"}. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger(ErrorFilter.name);

  constructor(private readonly adapter: HttpAdapterHost) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<Request>();
    const response = host.switchToHttp().getResponse<Response>();
    const allow = isUnrouted(thrown) ? methodsAt(this.adapter, request.path) : [];
    const error = toServiceError(thrown, request, allow);
    const { status } = ERRORS[error.code];
    if (status >= 500) this.log(error, thrown);

    if (response.headersSent) {
      response.destroy(); // a stream broke: a short body must not look like a whole one
      return;
    }
    response.setHeader(...retryHeader(error));
    if (error.code === 'method_not_allowed') response.setHeader('Allow', allow.join(', '));
    if (error.code === 'unauthorized') response.setHeader('WWW-Authenticate', 'Bearer');
    response.status(status).json(errorBody(error, request.id as string));
  }

  /** The cause may name hosts and files: it is for the log, the message is for the caller. */
  private log(error: ServiceError, thrown: unknown): void {
    const { code, message } = error;
    if (error === thrown) this.logger.warn({ code, err: error.cause }, message);
    else this.logger.error({ code, err: thrown }, message); // a defect, with its stack
  }
}

/** Services throw ServiceErrors: a NotFoundException can only be the router's. */
const isUnrouted = (thrown: unknown) => thrown instanceof HttpException && thrown.getStatus() === 404;

function toServiceError(thrown: unknown, request: Request, allow: string[]): ServiceError {
  if (thrown instanceof ServiceError) return thrown;
  const { method, path } = request;
  if (isUnrouted(thrown)) {
    return allow.length > 0
      ? new ServiceError(
          'method_not_allowed',
          `Expected ${allow.join(' or ')} for ${path} but received ${method}`,
        )
      : new ServiceError('not_found', `There is nothing at ${path}`);
  }
  // The router's, which cannot read the path.
  if (statusOf(thrown) === 400) {
    return new ServiceError('invalid_request', 'Expected a path in valid percent encoding');
  }
  const sentence = 'The service failed in an unexpected way; its log says why';
  return new ServiceError('internal_error', sentence, undefined, { cause: thrown });
}

/** Exceptions of Nest and errors of Express carry the status that they mean. */
function statusOf(thrown: unknown): number {
  if (thrown instanceof HttpException) return thrown.getStatus();
  return (thrown as { status?: number } | undefined)?.status ?? 500;
}
