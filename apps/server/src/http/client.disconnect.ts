import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Response } from 'express';
import { ServiceError } from '@app/errors';

/** A signal that aborts when the client goes away before its reply was sent. */
export function disconnectSignal(response: Response): AbortSignal {
  const leaving = new AbortController();
  const left = () => new ServiceError('cancelled', 'The client closed the connection');
  response.once('close', () => {
    if (!response.writableFinished) leaving.abort(left());
  });
  if (response.destroyed) leaving.abort(left());
  return leaving.signal;
}

/** The same as a parameter of a route. */
export const DisconnectSignal = createParamDecorator((_: unknown, context: ExecutionContext) =>
  disconnectSignal(context.switchToHttp().getResponse<Response>()),
);
