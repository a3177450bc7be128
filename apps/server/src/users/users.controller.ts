import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Param,
  Put,
  Req,
  StreamableFile,
  applyDecorators,
} from '@nestjs/common';
import { ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { RequireScope } from '../auth/scope.decorators';
import { headers } from '../docs/response.headers';
import { ApiErrors } from '../errors/api.errors.dto';
import { LOOKUP_ERRORS, USER_PICTURE_ERRORS } from '../errors/error.groups';
import { DisconnectSignal } from '../http/client.disconnect';
import { TakesPicture } from './picture.body';
import { UserParams, UserPictureReply } from './users.dto';
import { UsersService } from './users.service';

const BINARY = { type: 'string', format: 'binary' };

const StoresPicture = () =>
  applyDecorators(RequireScope('users'), TakesPicture(), ApiErrors(...USER_PICTURE_ERRORS));
const GivesPicture = (missing: 'avatar_not_found' | 'photo_not_found') =>
  applyDecorators(
    RequireScope('read'),
    Header('Cache-Control', 'private, no-cache'),
    ApiProduces('image/png'),
    ApiOkResponse({ schema: BINARY, description: 'The picture as PNG', headers: headers('Cache-Control') }),
    ApiErrors(...LOOKUP_ERRORS, missing, 'unsupported_picture'),
  );
const Removes = () => applyDecorators(RequireScope('users'), ApiErrors(...LOOKUP_ERRORS));

@ApiTags('users')
@Controller('v1/users/:user_id')
export class UsersController {
  constructor(private readonly users: UsersService) {}

  /** Stores the user's avatar, which memory pictures are drawn from. */
  @Put('avatar')
  @StoresPicture()
  putAvatar(
    @Param() { user_id }: UserParams,
    @Body() body: unknown,
    @Req() { headers }: Request,
    @DisconnectSignal() caller: AbortSignal,
  ): Promise<UserPictureReply> {
    return this.users.put('avatar', user_id, body, caller, headers['content-type']);
  }

  /** The user's avatar. */
  @Get('avatar')
  @GivesPicture('avatar_not_found')
  async getAvatar(
    @Param() { user_id }: UserParams,
    @DisconnectSignal() caller: AbortSignal,
  ): Promise<StreamableFile> {
    return png(await this.users.get('avatar', user_id, caller));
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
    @Body() body: unknown,
    @Req() { headers }: Request,
    @DisconnectSignal() caller: AbortSignal,
  ): Promise<UserPictureReply> {
    return this.users.put('photo', user_id, body, caller, headers['content-type']);
  }

  /** The user's photo. */
  @Get('photo')
  @GivesPicture('photo_not_found')
  async getPhoto(
    @Param() { user_id }: UserParams,
    @DisconnectSignal() caller: AbortSignal,
  ): Promise<StreamableFile> {
    return png(await this.users.get('photo', user_id, caller));
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
}

const png = (bytes: Buffer) => new StreamableFile(bytes, { type: 'image/png', length: bytes.length });
