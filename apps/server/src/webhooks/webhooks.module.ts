import { Module } from '@nestjs/common';
import { JobRoutesModule } from '../jobs/job.routes.module';
import { JobPresenter } from '../jobs/job.presenter';
import { WebhookAddress } from './webhook.address';
import { WEBHOOK_PAYLOAD, WebhookSender } from './webhook.sender';

@Module({
  imports: [JobRoutesModule],
  providers: [WebhookAddress, WebhookSender, { provide: WEBHOOK_PAYLOAD, useExisting: JobPresenter }],
  exports: [WebhookAddress],
})
export class WebhooksModule {}
