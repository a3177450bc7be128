import { Module } from '@nestjs/common';
import { StorageModule } from '@app/storage';
import { PictureBody } from './picture.body';
import { UserPictures } from './user.pictures';
import { UsersController } from './users.controller';
import { UsersService } from './users.service';

@Module({
  imports: [StorageModule],
  controllers: [UsersController],
  providers: [PictureBody, UserPictures, UsersService],
  exports: [UserPictures],
})
export class UsersModule {}
