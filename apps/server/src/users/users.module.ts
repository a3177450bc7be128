import { Module } from '@nestjs/common';
import { StorageModule } from '@app/storage';
import { OpenRequests } from '../http/open.requests';
import { UserPictures } from './user.pictures';
import { UsersController } from './users.controller';
import { UsersService } from './users.service';

@Module({
  imports: [StorageModule],
  controllers: [UsersController],
  providers: [OpenRequests, UserPictures, UsersService],
  exports: [OpenRequests, UserPictures],
})
export class UsersModule {}
