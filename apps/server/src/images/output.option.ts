import { ServiceError } from '@app/errors';
import { PNG, type Output } from '@app/pictures';
import type { PictureOptions } from './images.dto';

/** The file that is asked for. */
export function outputOf(options: PictureOptions): Output {
  const { output_format: format = PNG.format, output_compression: quality = PNG.quality } = options;
  if (format !== PNG.format || quality === PNG.quality) return { format, quality };
  const sentence = `Expected output_compression ${PNG.quality} for a PNG, which keeps every pixel, or output_format jpeg or webp, but received ${quality}`;
  throw new ServiceError('invalid_request', sentence, 'output_compression');
}
