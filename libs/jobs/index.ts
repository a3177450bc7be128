export {
  LocalCapabilities,
  Capabilities,
  type AvailableLora,
  type AvailableUpscaler,
} from './capabilities/capabilities';
export { FleetCapabilities } from './capabilities/fleet.capabilities';
export { isAfter, JobEvents, keptAfter, type JobEvent, type StoredEvent } from './job.events';
export { generationOf, type Generation } from './generation';
export { inputKey } from './job.maintenance';
export {
  JOB_STATES,
  JOB_VERSION,
  WEBHOOK_EVENTS,
  isFinished,
  traceIdOf,
  versionFor,
  type JobDraft,
  type JobRecord,
  type JobState,
  type TraceContext,
  type Webhook,
  type WebhookDelivery,
  type WebhookEvent,
} from './job.record';
export type { JobNews } from './job.news';
export { isFault, outcomeOf } from './job.outcome';
export { CALLER_CLASSES, type JobPage, type JobQuery } from './job.store';
export { JobsModule } from './jobs.module';
export { Jobs } from './jobs.service';
export { resultGone, userDeleted } from './refusals';
export { DEFAULT_PREFIX, RedisConnection } from './redis/redis.connection';
export {
  inputsOf,
  keysOf,
  PICTURE_ROUTES,
  picturesOf,
  type JobControl,
  type JobFaceDetail,
  type JobHires,
  type JobLora,
  type JobUpscaler,
  type PictureRoute,
  type Timings,
} from './picture.job';
export { JobFiles } from './worker/job.files';
export { parametersText } from './worker/parameters.text';
export { PictureUploads } from './worker/picture.uploads';
export { dueDeliveries } from './webhook.outbox';
