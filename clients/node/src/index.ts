export { ImageServiceClient, type ClientOptions, type DrawOptions, type WaitOptions } from './client';
export { ImageServiceError, unwrap } from './errors';
export type { JobEvent } from './events';
export type { DrawRequest, DrawRoute, Job, Picture, PictureReply } from './types';
export type { components, paths } from './openapi.types';
