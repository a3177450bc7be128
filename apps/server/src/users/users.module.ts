import { Module } from '@nestjs/common';
import { FacesModule } from '@app/faces';
import { StorageModule } from '@app/storage';
import { PhotosController } from './photos.controller';
import { PictureBody } from './picture.body';
import { PictureViews } from './picture.views';
import { UserFaces } from './user.faces';
import { UserPhotos } from './user.photos';
import { UserPictures } from './user.pictures';
import { UsersController } from './users.controller';
import { UsersService } from './users.service';

@Module({
  imports: [FacesModule, StorageModule],
  controllers: [PhotosController, UsersController],
  providers: [PictureBody, PictureViews, UserFaces, UserPhotos, UserPictures, UsersService],
  exports: [UserFaces, UserPhotos],
})
export class UsersModule {}
