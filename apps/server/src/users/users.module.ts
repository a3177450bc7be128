import { Module } from '@nestjs/common';
import { FacesModule } from '@app/faces';
import { StorageModule } from '@app/storage';
import { PictureBody } from './picture.body';
import { UserFaces } from './user.faces';
import { UserPictures } from './user.pictures';
import { UsersController } from './users.controller';
import { UsersService } from './users.service';

@Module({
  imports: [FacesModule, StorageModule],
  controllers: [UsersController],
  providers: [PictureBody, UserFaces, UserPictures, UsersService],
  exports: [UserFaces],
})
export class UsersModule {}
