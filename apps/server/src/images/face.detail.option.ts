import type { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { findsFaces } from '@app/faces';
import type { JobFaceDetail } from '@app/jobs';
import { DEFAULT_FACE_STRENGTH, DEFAULT_STEPS } from '@app/models/family';
import type { PictureOptions } from './images.dto';

/** What of it a job carries. Throws where nobody looks for faces. */
export function faceDetailOf(
  { face_detail: detail, num_inference_steps = DEFAULT_STEPS }: PictureOptions,
  config: Parameters<typeof findsFaces>[0] & Pick<Config, 'FACE_DETECTION'>,
): JobFaceDetail | undefined {
  if (!detail) return undefined;
  if (!findsFaces(config)) {
    const sentence = 'This service looks for no faces (FACE_DETECTION): leave face_detail out';
    throw new ServiceError('faces_disabled', sentence, 'face_detail');
  }
  const { strength = DEFAULT_FACE_STRENGTH, steps = num_inference_steps } = detail;
  return { steps, strength };
}
