import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Response } from 'express';
import { ServiceError } from '@app/errors';

/** A signal that aborts when the client goes away before its reply was sent. */
export const CallerSignal = createParamDecorator((_: unknown, context: ExecutionContext): AbortSignal => {
  const response = context.switchToHttp().getResponse<Response>();
  const leaving = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) {
      leaving.abort(new ServiceError('cancelled', 'The client closed the connection'));
    }
  });
  if (response.destroyed) leaving.abort(new ServiceError('cancelled', 'The client closed the connection'));
  return leaving.signal;
});
