import type { components, paths } from './openapi.types';

export type PictureReply = components['schemas']['PictureReply'];
/** One picture of a reply. */
export type Picture = PictureReply['data'][number];
export type Job = components['schemas']['JobReply'];

/** The routes that make pictures, by their last word: `POST /v1/images/{route}`. */
export type DrawRoute = 'generations' | 'memory' | 'subject';
export type DrawRequest<R extends DrawRoute> =
  paths[`/v1/images/${R}`]['post']['requestBody']['content']['application/json'];
