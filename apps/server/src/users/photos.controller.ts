import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { LOOKUP_ERRORS } from '../errors/error.groups';
import { PictureBody } from './picture.body';
import { CallersTurn, GivesPicture, Removes, SetsCrop, StoresPicture } from './picture.routes';
import { PictureViews, type ShownPicture } from './picture.views';
import { photoAt } from './user.pictures';
import {
  CropRequest,
  PhotoParams,
  PictureView,
  UserParams,
  UserPhotosReply,
  type UserPictureInfo,
  type UserPictureReply,
} from './users.dto';
import { UsersService, type RequestTurn } from './users.service';

@ApiTags('users')
@Controller('v1/users/:user_id/photos')
export class PhotosController {
  constructor(
    private readonly users: UsersService,
    private readonly views: PictureViews,
    private readonly body: PictureBody,
  ) {}

  /** The user's photos, up to 8: what was seen in each, and which is the best. */
  @Get()
  @RequireScope('read')
  @ApiOkResponse({ type: UserPhotosReply, description: 'The photos' })
  @ApiErrors(...LOOKUP_ERRORS, 'unsupported_picture', 'cancelled', 'draining')
  listPhotos(@Param() { user_id }: UserParams, @CallersTurn() turn: RequestTurn): Promise<UserPhotosReply> {
    return this.users.photosOf(user_id, turn);
  }

  /** Stores one more photo, under the first number that is free. */
  @Post()
  @HttpCode(200)
  @StoresPicture()
  @ApiErrors('too_many_photos')
  async addPhoto(
    @Param() { user_id }: UserParams,
    @Req() request: Request,
    @CallersTurn() turn: RequestTurn,
  ): Promise<UserPictureReply> {
    return this.users.addPhoto(user_id, await this.body.read(request), turn);
  }

  /** One of the photos. */
  @Get(':photo')
  @GivesPicture('photo_not_found')
  getPhotoByNumber(
    @Param() { user_id, photo }: PhotoParams,
    @Query() view: PictureView,
    @Res({ passthrough: true }) response: Response,
    @CallersTurn() turn: RequestTurn,
  ): Promise<ShownPicture> {
    return this.views.show(photoAt(photo), user_id, view, response, turn);
  }

  /** Removes a photo, if there is one of this number. The others keep theirs. */
  @Delete(':photo')
  @HttpCode(204)
  @Removes()
  removePhotoByNumber(@Param() { user_id, photo }: PhotoParams): Promise<void> {
    return this.users.remove(photoAt(photo), user_id);
  }

  /** Sets what of the photo the model sees. */
  @Put(':photo/crop')
  @SetsCrop()
  putCropByNumber(
    @Param() { user_id, photo }: PhotoParams,
    @Body() crop: CropRequest,
    @CallersTurn() turn: RequestTurn,
  ): Promise<UserPictureInfo> {
    return this.users.setCrop(photoAt(photo), user_id, crop, turn);
  }

  /** Lets the crop follow the face again. */
  @Delete(':photo/crop')
  @HttpCode(204)
  @Removes()
  removeCropByNumber(@Param() { user_id, photo }: PhotoParams): Promise<void> {
    return this.users.removeCrop(photoAt(photo), user_id);
  }
}
