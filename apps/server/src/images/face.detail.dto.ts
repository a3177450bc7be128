import { applyDecorators } from '@nestjs/common';
import { ApiPropertyOptional, getSchemaPath } from '@nestjs/swagger';
import { Transform, Type } from 'class-transformer';
import { ValidateNested } from 'class-validator';
import { DEFAULT_FACE_STRENGTH, MAX_STEPS } from '@app/models/family';
import { Decimal, Optional, rule, Whole } from '../validation/fields';

export class FaceDetailOption {
  /** How much of the face is changed: 0.01 hardly anything, 1 all, and it is another face then. */
  @Optional()
  @Decimal(0.01, 1, { default: DEFAULT_FACE_STRENGTH })
  readonly strength?: number;

  /** Sampling steps, of which `strength` takes its share. Left out: as many as num_inference_steps. */
  @Optional()
  @Whole(1, MAX_STEPS)
  readonly steps?: number;
}

/** As it is usual, with `true`; or with options. */
export const FaceDetail = () =>
  applyDecorators(
    Optional(),
    ApiPropertyOptional({
      type: Object,
      anyOf: [{ type: 'boolean' }, { $ref: getSchemaPath(FaceDetailOption) }],
      default: false,
    }),
    rule('faceDetail', 'true, false or an object', (value) => value instanceof FaceDetailOption),
    ValidateNested(),
    Transform(({ value }: { value: unknown }) => {
      if (typeof value !== 'boolean') return value;
      return value ? new FaceDetailOption() : undefined;
    }),
    Type(() => FaceDetailOption),
  );
