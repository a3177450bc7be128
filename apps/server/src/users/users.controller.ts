import {
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Param,
  Put,
  Req,
  Res,
  StreamableFile,
  applyDecorators,
  createParamDecorator,
  type ExecutionContext,
} from '@nestjs/common';
import { ApiNoContentResponse, ApiOkResponse, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { accountOf } from '../auth/account';
import { RequireScope } from '../auth/scope.decorators';
import { headers } from '../docs/response.headers';
import { ApiErrors } from '../errors/api.errors.dto';
import { LOOKUP_ERRORS, USER_PICTURE_ERRORS } from '../errors/error.groups';
import { disconnectSignal } from '../http/client.disconnect';
import { PictureBody, TakesPicture } from './picture.body';
import type { UserPicture } from './user.pictures';
import { UserParams, UserPictureReply } from './users.dto';
import { UsersService, type RequestTurn } from './users.service';

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
    ApiProduces('image/png'),
    ApiOkResponse({
      schema: BINARY,
      description: 'The picture as PNG',
      headers: headers('ETag', 'Cache-Control'),
    }),
    ApiResponse({
      ...{ status: 304, description: 'If-None-Match names the picture that is stored' },
      headers: headers('ETag', 'Cache-Control'),
    }),
    ApiErrors(...LOOKUP_ERRORS, missing, 'unsupported_picture'),
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
    @Res({ passthrough: true }) response: Response,
    @CallersTurn() turn: RequestTurn,
  ): Promise<StreamableFile | undefined> {
    return this.give('avatar', user_id, response, turn);
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
    @Res({ passthrough: true }) response: Response,
    @CallersTurn() turn: RequestTurn,
  ): Promise<StreamableFile | undefined> {
    return this.give('photo', user_id, response, turn);
  }

  /** Removes the user's photo, if there is one. */
  @Delete('photo')
  @HttpCode(204)
  @Removes()
  removePhoto(@Param() { user_id }: UserParams): Promise<void> {
    return this.users.remove('photo', user_id);
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
    response: Response,
    turn: RequestTurn,
  ): Promise<StreamableFile | undefined> {
    const { etag, png } = await this.users.get(kind, userId, (tag) => isKnown(response, tag), turn);
    response.setHeader('ETag', etag);
    if (png) return new StreamableFile(png, { type: 'image/png', length: png.length });
    response.status(304);
    return undefined;
  }
}

/** Whether the request says that the caller has it. Express looks at the reply for it, which may become another yet. */
function isKnown(response: Response, etag: string): boolean {
  response.setHeader('ETag', etag);
  const { fresh } = response.req;
  response.removeHeader('ETag');
  return fresh;
}
