import { ApiProperty, getSchemaPath } from '@nestjs/swagger';
import { OUTPUT_FORMATS, type OutputFormat } from '@app/pictures';
import { ErrorReply } from '../errors/api.errors.dto';
import { eventSchema, model } from '../jobs/event.schema';
import { ImagesReply, TokenUsage } from './openai.dto';

class ImageEvent {
  /** The picture in base64. */
  @ApiProperty({ format: 'byte' })
  readonly b64_json!: string;

  /**
   * `WIDTHxHEIGHT` of the picture that was asked for; partial images are smaller.
   * @example "1024x1024"
   */
  readonly size!: string;

  /** The quality that was asked for, as in the reply without a stream; else `auto`. */
  @ApiProperty({ enum: ['low', 'medium', 'high', 'xhigh', 'max', 'auto'] })
  readonly quality!: string;

  /** Always `opaque`. */
  @ApiProperty({ enum: ['opaque'] })
  readonly background!: 'opaque';

  /** What `b64_json` is. */
  @ApiProperty({ enum: OUTPUT_FORMATS })
  readonly output_format!: OutputFormat;

  /** Of the event, in Unix seconds. */
  readonly created_at!: number;
}

/** How the names of events begin. */
export type EventKind = 'image_generation' | 'image_edit';

export class PartialImageEvent extends ImageEvent {
  /** As the event's name. */
  @ApiProperty({ enum: ['image_generation.partial_image', 'image_edit.partial_image'] })
  readonly type!: `${EventKind}.partial_image`;

  /** Counts from 0. */
  readonly partial_image_index!: number;
}

export class CompletedImageEvent extends ImageEvent {
  /** As the event's name. */
  @ApiProperty({ enum: ['image_generation.completed', 'image_edit.completed'] })
  readonly type!: `${EventKind}.completed`;

  /** As OpenAI's clients expect it. Nothing here is counted in tokens. */
  readonly usage!: TokenUsage;
}

export const IMAGE_EVENTS = [PartialImageEvent, CompletedImageEvent];

/** The reply of a picture, and its stream where that is asked for. */
export const imagesContent = (kind: EventKind) => ({
  'application/json': { schema: { $ref: getSchemaPath(ImagesReply) } },
  'text/event-stream': {
    schema: {
      description: 'With `stream`: one event of the stream, by the names of its fields',
      oneOf: [
        eventSchema(`${kind}.partial_image`, model(PartialImageEvent)),
        eventSchema(`${kind}.completed`, model(CompletedImageEvent)),
        eventSchema('error', model(ErrorReply)),
      ],
    },
  },
});
