import { Header, applyDecorators, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiResponse,
  getSchemaPath,
} from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { accountOf } from '../auth/account';
import { RequireScope } from '../auth/scope.decorators';
import { headers } from '../docs/response.headers';
import { ApiErrors } from '../errors/api.errors.dto';
import { LOOKUP_ERRORS, USER_PICTURE_ERRORS } from '../errors/error.groups';
import { disconnectSignal } from '../http/client.disconnect';
import { TakesJson } from '../http/json.body';
import { TakesPicture } from './picture.body';
import { UserPictureInfo, UserPictureReply } from './users.dto';
import type { RequestTurn } from './users.service';

/* What routes of users' pictures have in common. */

/** Of a route with a small JSON body. */
const JSON_ERRORS = ['request_timeout', 'payload_too_large'] as const;
const BINARY = { type: 'string', format: 'binary' };

export const CallersTurn = createParamDecorator((_: unknown, context: ExecutionContext): RequestTurn => {
  const http = context.switchToHttp();
  return {
    caller: accountOf(http.getRequest<Request>()),
    signal: disconnectSignal(http.getResponse<Response>()),
  };
});

export const StoresPicture = () =>
  applyDecorators(
    RequireScope('users'),
    TakesPicture(),
    ApiOkResponse({ type: UserPictureReply, description: 'What was stored' }),
    ApiErrors(...USER_PICTURE_ERRORS),
  );

export const GivesPicture = (missing: 'avatar_not_found' | 'photo_not_found') =>
  applyDecorators(
    RequireScope('read'),
    Header('Cache-Control', 'private, no-cache'),
    ApiExtraModels(UserPictureInfo),
    ApiOkResponse({
      content: {
        'image/png': { schema: BINARY },
        'application/json': { schema: { $ref: getSchemaPath(UserPictureInfo) } },
      },
      description: 'The picture as PNG, or what was seen in it (`view`)',
      headers: headers('ETag', 'Cache-Control'),
    }),
    ApiResponse({
      ...{ status: 304, description: 'If-None-Match names the picture that is stored' },
      headers: headers('ETag', 'Cache-Control'),
    }),
    ApiErrors(...LOOKUP_ERRORS, missing, 'unsupported_picture', 'cancelled', 'draining'),
  );

export const Removes = () =>
  applyDecorators(
    RequireScope('users'),
    ApiNoContentResponse({ description: 'There is nothing any more' }),
    ApiErrors(...LOOKUP_ERRORS),
  );

export const SetsCrop = () =>
  applyDecorators(
    RequireScope('users'),
    TakesJson(),
    ApiOkResponse({ type: UserPictureInfo, description: 'The photo with this crop' }),
    ApiErrors(
      ...LOOKUP_ERRORS,
      ...JSON_ERRORS,
      'photo_not_found',
      'unsupported_picture',
      'cancelled',
      'draining',
    ),
  );
