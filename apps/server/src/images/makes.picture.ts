import { applyDecorators } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiResponse, type ApiResponseOptions } from '@nestjs/swagger';
import type { ErrorCode } from '@app/errors';
import { RequireScope } from '../auth/scope.decorators';
import { headers } from '../docs/response.headers';
import { ApiErrors } from '../errors/api.errors.dto';
import { DRAWING_ERRORS } from '../errors/error.groups';
import { JobReply } from '../jobs/jobs.dto';
import { TakesPictureJson } from './picture.json';

/** The route has a picture drawn, and answers with `reply`, or with the job where that is asked for. */
export const MakesPicture = (reply: ApiResponseOptions, ...missing: ErrorCode[]) =>
  applyDecorators(TakesPictureJson(), AnswersPicture(reply, ...missing));

/** The same of one that takes another body than JSON. */
export const AnswersPicture = (reply: ApiResponseOptions, ...missing: ErrorCode[]) =>
  applyDecorators(
    RequireScope('draw'),
    ApiHeader({
      name: 'Prefer',
      required: false,
      description:
        'RFC 7240: `respond-async` answers 202 with the job at once; `wait=N` waits at most N seconds (and at most ' +
        'MAX_WAIT) for the picture, then answers 202; earlier when the service shuts down. Others are ignored.',
      schema: { type: 'string', example: 'respond-async' },
    }),
    ApiHeader({
      name: 'Idempotency-Key',
      required: false,
      description:
        'For 24 hours the same key, route and body of the same caller get the same picture, or join the job that makes ' +
        'it; 410 `result_gone` where that is no longer kept. Transient errors, cancelled and deleted jobs free the key.',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    }),
    ApiResponse({
      status: 202,
      type: JobReply,
      description: 'The job, on request by Prefer. `Location` is its address, `Preference-Applied` says why',
      headers: headers('Location', 'Retry-After', 'Preference-Applied', 'Idempotency-Replayed'),
    }),
    ApiOkResponse({
      ...reply,
      description: 'The picture',
      headers: headers('Preference-Applied', 'Idempotency-Replayed'),
    }),
    ApiErrors(...missing, ...DRAWING_ERRORS),
  );
