import { Module } from '@nestjs/common';
import { StorageModule } from '@app/storage';
import { LiveRequests } from '../http/open.requests';
import { UserPictures } from './user.pictures';
import { UsersController } from './users.controller';
import { UsersService } from './users.service';

@Module({
  imports: [StorageModule],
  controllers: [UsersController],
  providers: [LiveRequests, UserPictures, UsersService],
  exports: [LiveRequests, UserPictures],
})
export class UsersModule {}
