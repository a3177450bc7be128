import { Module } from '@nestjs/common';
import { ImagesModule } from '../images/images.module';
import { JobRoutesModule } from '../jobs/job.routes.module';
import { EditsController } from './edits.controller';
import { ImageStreams } from './image.streams';
import { ImagesPresenter } from './images.presenter';
import { OpenAiController } from './openai.controller';

/** What OpenAI's clients call. */
@Module({
  imports: [ImagesModule, JobRoutesModule],
  controllers: [OpenAiController, EditsController],
  providers: [ImageStreams, ImagesPresenter],
})
export class OpenAiModule {}
