import { Body, Controller, Delete, Get, HttpCode, Param, Put, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { PictureBody } from './picture.body';
import { CallersTurn, GivesPicture, Removes, SetsCrop, StoresPicture } from './picture.routes';
import { PictureViews, type ShownPicture } from './picture.views';
import type { UserPicture } from './user.pictures';
import {
  CropRequest,
  PictureView,
  UserParams,
  type UserPictureInfo,
  type UserPictureReply,
} from './users.dto';
import { UsersService, type RequestTurn } from './users.service';

@ApiTags('users')
@Controller('v1/users/:user_id')
export class UsersController {
  constructor(
    private readonly users: UsersService,
    private readonly views: PictureViews,
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
    @Query() view: PictureView,
    @Res({ passthrough: true }) response: Response,
    @CallersTurn() turn: RequestTurn,
  ): Promise<ShownPicture> {
    return this.views.show('avatar', user_id, view, response, turn);
  }

  /** Removes the user's avatar, if there is one. */
  @Delete('avatar')
  @HttpCode(204)
  @Removes()
  removeAvatar(@Param() { user_id }: UserParams): Promise<void> {
    return this.users.remove('avatar', user_id);
  }

  /** Stores the user's photo, which subject pictures are drawn from: the first one, where there are several. */
  @Put('photo')
  @StoresPicture()
  putPhoto(
    @Param() { user_id }: UserParams,
    @Req() request: Request,
    @CallersTurn() turn: RequestTurn,
  ): Promise<UserPictureReply> {
    return this.store('photo', user_id, request, turn);
  }

  /** The user's photo: the first one, where there are several. */
  @Get('photo')
  @GivesPicture('photo_not_found')
  getPhoto(
    @Param() { user_id }: UserParams,
    @Query() view: PictureView,
    @Res({ passthrough: true }) response: Response,
    @CallersTurn() turn: RequestTurn,
  ): Promise<ShownPicture> {
    return this.views.show('photo', user_id, view, response, turn);
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
  @SetsCrop()
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

  /** Removes a user: cancels their requests, then removes avatar, photos and results. */
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
    return this.users.put(kind, userId, await this.body.read(request), turn);
  }
}
