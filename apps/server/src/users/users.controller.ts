import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Param,
  Put,
  Query,
  Req,
  Res,
  StreamableFile,
  applyDecorators,
  createParamDecorator,
  type ExecutionContext,
} from '@nestjs/common';
import {
  ApiExtraModels,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiResponse,
  ApiTags,
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
import { PictureBody, TakesPicture } from './picture.body';
import type { UserPicture } from './user.pictures';
import { CropRequest, PictureView, UserParams, UserPictureInfo, UserPictureReply } from './users.dto';
import { UsersService, type RequestTurn } from './users.service';

/** Of a route with a small JSON body. */
const JSON_ERRORS = ['request_timeout', 'payload_too_large'] as const;
const BINARY = { type: 'string', format: 'binary' };

const StoresPicture = () =>
  applyDecorators(
    RequireScope('users'),
    TakesPicture(),
    ApiOkResponse({ type: UserPictureReply, description: 'What was stored' }),
    ApiErrors(...USER_PICTURE_ERRORS),
  );
const GivesPicture = (missing: 'avatar_not_found' | 'photo_not_found') =>
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
const CallersTurn = createParamDecorator((_: unknown, context: ExecutionContext): RequestTurn => {
  const http = context.switchToHttp();
  return { caller: accountOf(http.getRequest<Request>()), signal: disconnectSignal(http.getResponse()) };
});
const Removes = () =>
  applyDecorators(
    RequireScope('users'),
    ApiNoContentResponse({ description: 'There is nothing any more' }),
    ApiErrors(...LOOKUP_ERRORS),
  );

@ApiTags('users')
@Controller('v1/users/:user_id')
export class UsersController {
  constructor(
    private readonly users: UsersService,
    private readonly body: PictureBody,
  ) {}

  /** Stores the user's avatar, which memory pictures are drawn from. */
  @Put('avatar')
  @StoresPicture()
  putAvatar(
    @Param() { user_id }: UserParams,
    @Req() request: Request,
    @CallersTurn() turn: RequestTurn,
  ): Promise<UserPictureReply> {
    return this.store('avatar', user_id, request, turn);
  }

  /** The user's avatar. */
  @Get('avatar')
  @GivesPicture('avatar_not_found')
  getAvatar(
    @Param() { user_id }: UserParams,
    @Query() { view }: PictureView,
    @Res({ passthrough: true }) response: Response,
    @CallersTurn() turn: RequestTurn,
  ): Promise<StreamableFile | UserPictureInfo | undefined> {
    return this.give('avatar', user_id, view, response, turn);
  }

  /** Removes the user's avatar, if there is one. */
  @Delete('avatar')
  @HttpCode(204)
  @Removes()
  removeAvatar(@Param() { user_id }: UserParams): Promise<void> {
    return this.users.remove('avatar', user_id);
  }

  /** Stores the user's photo, which subject pictures are drawn from. */
  @Put('photo')
  @StoresPicture()
  putPhoto(
    @Param() { user_id }: UserParams,
    @Req() request: Request,
    @CallersTurn() turn: RequestTurn,
  ): Promise<UserPictureReply> {
    return this.store('photo', user_id, request, turn);
  }

  /** The user's photo. */
  @Get('photo')
  @GivesPicture('photo_not_found')
  getPhoto(
    @Param() { user_id }: UserParams,
    @Query() { view }: PictureView,
    @Res({ passthrough: true }) response: Response,
    @CallersTurn() turn: RequestTurn,
  ): Promise<StreamableFile | UserPictureInfo | undefined> {
    return this.give('photo', user_id, view, response, turn);
  }

  /** Removes the user's photo, if there is one. */
  @Delete('photo')
  @HttpCode(204)
  @Removes()
  removePhoto(@Param() { user_id }: UserParams): Promise<void> {
    return this.users.remove('photo', user_id);
  }

  /** Sets what of the user's photo the model sees, until there is another photo. */
  @Put('photo/crop')
  @RequireScope('users')
  @TakesJson()
  @ApiOkResponse({ type: UserPictureInfo, description: 'The photo with this crop' })
  @ApiErrors(
    ...LOOKUP_ERRORS,
    ...JSON_ERRORS,
    'photo_not_found',
    'unsupported_picture',
    'cancelled',
    'draining',
  )
  putCrop(
    @Param() { user_id }: UserParams,
    @Body() crop: CropRequest,
    @CallersTurn() turn: RequestTurn,
  ): Promise<UserPictureInfo> {
    return this.users.setCrop('photo', user_id, crop, turn);
  }

  /** Lets the crop follow the face again. */
  @Delete('photo/crop')
  @HttpCode(204)
  @Removes()
  removeCrop(@Param() { user_id }: UserParams): Promise<void> {
    return this.users.removeCrop('photo', user_id);
  }

  /** Removes a user: cancels their requests, then removes avatar, photo and results. */
  @Delete()
  @HttpCode(204)
  @Removes()
  removeUser(@Param() { user_id }: UserParams): Promise<void> {
    return this.users.removeUser(user_id);
  }

  private async store(
    kind: UserPicture,
    userId: string,
    request: Request,
    turn: RequestTurn,
  ): Promise<UserPictureReply> {
    const body = await this.body.read(request);
    return this.users.put(kind, userId, body, turn, request.headers['content-type']);
  }

  private async give(
    kind: UserPicture,
    userId: string,
    view: PictureView['view'],
    response: Response,
    turn: RequestTurn,
  ): Promise<StreamableFile | UserPictureInfo | undefined> {
    if (view === 'info') return this.users.info(kind, userId, turn);
    if (view === 'reference') return asPng(await this.users.reference(kind, userId, turn));
    const { etag, png } = await this.users.get(kind, userId, (tag) => isKnown(response, tag), turn);
    response.setHeader('ETag', etag);
    if (png) return asPng(png);
    response.status(304);
    return undefined;
  }
}

const asPng = (png: Buffer) => new StreamableFile(png, { type: 'image/png', length: png.length });

/** Whether the request says that the caller has it. Express looks at the reply for it, which may become another yet. */
function isKnown(response: Response, etag: string): boolean {
  response.setHeader('ETag', etag);
  const { fresh } = response.req;
  response.removeHeader('ETag');
  return fresh;
}
