import { Module } from '@nestjs/common';
import { ImagesModule } from '../images/images.module';
import { JobRoutesModule } from '../jobs/job.routes.module';
import { ChosenModels } from './chosen.models';
import { CurrentJobs } from './current.jobs';
import { DrawingController } from './drawing.controller';
import { SettingsController } from './settings.controller';

/** /sdapi/v1: what front ends of AUTOMATIC1111's web UI ask for, as requests of our own. */
@Module({
  imports: [ImagesModule, JobRoutesModule],
  controllers: [DrawingController, SettingsController],
  providers: [ChosenModels, CurrentJobs],
})
export class Automatic1111Module {}
