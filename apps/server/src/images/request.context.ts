import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import { ServiceError } from '@app/errors';
import type { JobRecord } from '@app/jobs';
import type { MaskRule } from '@app/pictures';
import { accountOf } from '../auth/account';
import { apiKeyOf, type ApiKey } from '../auth/api.key';
import { disconnectSignal } from '../http/client.disconnect';
import { BODY_USED } from '../http/large.bodies';
import { parsePrefer, type Preferences } from './prefer';

/** What a picture request says outside its body. */
export interface RequestContext {
  /** Aborts when the client goes away before its reply was sent. */
  readonly signal: AbortSignal;
  readonly prefer: Preferences;
  readonly idempotencyKey?: string;
  /** Absent where callers have no keys. */
  readonly apiKey?: ApiKey;
  /** Whose share of the queue the job takes. */
  readonly account: string;
  /** How the route reads masks, where it is not one of our own. */
  readonly maskRule?: MaskRule;
  /** Called once the job is accepted, which may be a finished one of the same Idempotency-Key; the wait begins after it. */
  onAccepted?(job: JobRecord): Promise<void>;
  /** Its body is copied to where it is needed: its memory, and its place among large ones, are free. */
  forgetBody(): void;
}

export const PictureContext = createParamDecorator(
  (_: unknown, context: ExecutionContext): RequestContext => {
    const request = context.switchToHttp().getRequest<Request>();
    const response = context.switchToHttp().getResponse<Response>();
    return {
      signal: disconnectSignal(response),
      forgetBody: () => {
        request.body = undefined;
        response.emit(BODY_USED);
      },
      prefer: parsePrefer(request.headers.prefer),
      idempotencyKey: idempotencyKey(request.headers['idempotency-key']),
      apiKey: apiKeyOf(request),
      account: accountOf(request),
    };
  },
);

/** Node hands header values as latin-1 text without control characters. */
function idempotencyKey(value: string | string[] | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value.length >= 1 && value.length <= 255) return value;
  const received = typeof value === 'string' ? `${value.length}` : 'several keys';
  throw new ServiceError(
    'invalid_request',
    `Expected 1 to 255 characters for Idempotency-Key but received ${received}`,
    'Idempotency-Key',
  );
}
