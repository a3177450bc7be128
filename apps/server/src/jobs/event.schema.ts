import { getSchemaPath, type ApiResponseSchemaHost } from '@nestjs/swagger';
import { JOB_STATES } from '@app/jobs';
import { ErrorDetail } from '../errors/api.errors.dto';
import { PictureReply } from './picture.dto';
import { ProgressReply } from './jobs.dto';

type Schema = ApiResponseSchemaHost['schema'];

export const model = (type: Parameters<typeof getSchemaPath>[0]): Schema => ({ $ref: getSchemaPath(type) });
const object = (properties: Record<string, object>, required = Object.keys(properties)) =>
  ({ type: 'object', properties, required }) as Schema;

const COUNT = { type: 'integer', minimum: 0 };
const ID = {
  type: 'string',
  description: 'What a client comes back with, as Last-Event-ID',
  example: '1767225600000-3',
};
const STATE = object({ state: { type: 'string', enum: [...JOB_STATES] }, attempts: COUNT }, ['state']);
const JPEG = { type: 'string', contentEncoding: 'base64', contentMediaType: 'image/jpeg' };
const PREVIEW = object({ step: COUNT, width: COUNT, height: COUNT, jpeg: JPEG });

/** `data` is text in the stream, and the text is JSON. */
export const eventSchema = (name: string, data: Schema, fields: Record<string, object> = {}) =>
  object(
    {
      ...fields,
      event: { type: 'string', enum: [name] },
      data: { type: 'string', contentMediaType: 'application/json', contentSchema: data },
    },
    ['event', 'data'],
  );

const event = (name: string, data: Schema) => eventSchema(name, data, { id: ID });

/** Of one event: in OpenAPI 3.1 the schema of an event stream is that of each of its events. */
export const JOB_EVENT: Schema = {
  description: 'One event of the stream, by the names of its fields',
  oneOf: [
    event('state', STATE),
    event('progress', model(ProgressReply)),
    event('preview', PREVIEW),
    event('result', model(PictureReply)),
    event('error', model(ErrorDetail)),
    event('closing', object({})),
  ],
};
