import type { Config, Size } from '@app/config';
import { ServiceError } from '@app/errors';
import type { AvailableUpscaler, Capabilities, JobHires, JobUpscaler } from '@app/jobs';
import {
  DEFAULT_HIRES_STRENGTH,
  DEFAULT_STEPS,
  HIRES_UPSCALERS,
  MAX_SIDE,
  SIZE_STEP,
} from '@app/models/family';
import type { HiresOptions } from './enlargement.dto';
import type { PictureOptions } from './images.dto';

/** Pixels of an enlarged picture: as many as the largest that is drawn. */
const MOST_PIXELS = MAX_SIDE * MAX_SIDE;

/** What of a job enlarges its pictures. */
interface Enlargement {
  readonly hires?: JobHires;
  readonly upscaler?: JobUpscaler;
}

/** `hires` and `upscale` of a request. */
export class Enlargements {
  constructor(
    private readonly config: Pick<Config, 'MAX_PIXELS'>,
    private readonly capabilities: Pick<Capabilities, 'mostPixels' | 'upscaler'>,
  ) {}

  /** Whatever can be refused without looking anywhere. */
  check({ mask, control, hires, upscale }: PictureOptions): void {
    if (hires && control) {
      const sentence =
        'Expected no hires with control, which guides at one size alone; enlarge the result by another request, but received both';
      throw new ServiceError('invalid_request', sentence, 'hires');
    }
    const field = hires ? 'hires' : 'upscale';
    if (mask === undefined || (!hires && upscale === undefined)) return;
    const sentence = `Expected no ${field} with mask, for the rest of the picture stays as it is, to the bit; enlarge the result by another request`;
    throw new ServiceError('invalid_request', `${sentence}, but received both`, field);
  }

  /** Looks models up. What comes of a size is refused where it is too large. */
  async plan(options: PictureOptions): Promise<(size: Size) => Enlargement> {
    const { hires, upscale, num_inference_steps: steps = DEFAULT_STEPS } = options;
    const name = hires?.upscaler ?? HIRES_UPSCALERS[0];
    const builtIn = HIRES_UPSCALERS.find((known) => known.toLowerCase() === name.toLowerCase());
    const by = builtIn ? { upscaler: builtIn } : { model: fileOf(await this.find(name, 'hires.upscaler')) };
    const upscaler = upscale === undefined ? undefined : await this.find(upscale, 'upscale');
    return (size) => {
      const larger = hires && this.larger(size, hires);
      if (upscaler) assertResult(larger ?? size, upscaler.factor);
      return {
        ...(larger && {
          hires: {
            ...{ scale: hires.scale, ...larger, steps: hires.steps ?? steps },
            ...{ strength: hires.strength ?? DEFAULT_HIRES_STRENGTH, ...by },
          },
        }),
        ...(upscaler && { upscaler: fileOf(upscaler) }),
      };
    };
  }

  private larger(size: Size, { scale }: HiresOptions): Size {
    const larger = scaled(size, scale);
    const { MAX_PIXELS } = this.config;
    const { mostPixels } = this.capabilities;
    if (fits(larger, Math.min(MAX_PIXELS, mostPixels))) return larger;
    const most = fits(larger, MAX_PIXELS)
      ? 'a size for which the device has the memory'
      : `at most ${MAX_PIXELS} pixels (MAX_PIXELS), and sides of at most ${MAX_SIDE},`;
    let least = Math.floor(scale * 100);
    while (least > 100 && !fits(scaled(size, least / 100), Math.min(MAX_PIXELS, mostPixels))) least--;
    const advice = least > 100 ? `a hires.scale of ${least / 100}` : 'a smaller size';
    const sentence = `Expected ${most} after hires, as with ${advice}, but received ${inWords(larger)}`;
    throw new ServiceError('invalid_request', sentence, 'hires.scale');
  }

  private async find(name: string, field: string): Promise<AvailableUpscaler> {
    try {
      return await this.capabilities.upscaler(name);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const { code, message, retryAfter } = error;
      const builtIn = field === 'upscale' ? '' : ` ${HIRES_UPSCALERS.join(', ')} need none.`;
      const sentence = code === 'upscaler_not_found' ? message + builtIn : message;
      throw new ServiceError(code, sentence, field, { cause: error, retryAfter });
    }
  }
}

const fileOf = ({ name, sha256 }: AvailableUpscaler): JobUpscaler => ({ name, sha256 });

const scaled = ({ width, height }: Size, scale: number): Size => {
  const side = (pixels: number) => Math.round((pixels * scale) / SIZE_STEP) * SIZE_STEP;
  return { width: side(width), height: side(height) };
};

const fits = ({ width, height }: Size, most: number) =>
  width * height <= most && Math.max(width, height) <= MAX_SIDE;

function assertResult({ width, height }: Size, factor: number): void {
  if (width * height * factor ** 2 <= MOST_PIXELS) return;
  const sentence = `Expected at most ${MOST_PIXELS} pixels after upscale, as of a smaller size, but received ${inWords({ width, height })} times ${factor}`;
  throw new ServiceError('invalid_request', sentence, 'upscale');
}

const inWords = ({ width, height }: Size) => `${width}x${height}`;
