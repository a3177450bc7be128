import type { Response } from 'express';
import { ServiceError } from '@app/errors';

/** What a request ends with when its client is gone. */
export const clientLeft = () => new ServiceError('cancelled', 'The client closed the connection');

/** A signal that aborts when the client goes away before its reply was sent. */
export function disconnectSignal(response: Response): AbortSignal {
  const leaving = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) leaving.abort(clientLeft());
  });
  if (response.destroyed) leaving.abort(clientLeft());
  return leaving.signal;
}
