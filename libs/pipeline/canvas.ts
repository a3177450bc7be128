import type { Size } from '@app/config';
import { drawnSize, gridSize } from '@app/models/family';
import { cutOut, resized, surrounded, type Region } from '@app/pictures';
import type { EnginePicture } from './engine.protocol';
import type { GenerateRequest, Preview } from './pipeline.types';

/**
 * What the engine draws on: sides of its own steps, and so perhaps more than was asked for, which is the middle of it.
 * Of a second sampling it may be a little out of proportion: that is put right by the size of the result.
 */
export class Canvas {
  /** Of the first sampling. */
  private readonly base: Size;

  constructor(private readonly request: GenerateRequest) {
    this.base = gridSize(request);
  }

  /** What the engine is asked for. */
  async toRequest(): Promise<GenerateRequest> {
    const { request, base } = this;
    const { image, mask, control, hires } = request;
    const whole = (pixels: Buffer) => surrounded(pixels, request, base);
    return {
      ...request,
      ...base,
      ...(image && { image: { ...image, pixels: await whole(image.pixels) } }),
      ...(mask && { mask: await whole(mask) }),
      ...(control && { control: { ...control, pixels: await whole(control.pixels) } }),
      ...(hires && { hires: { ...hires, ...gridSize(hires) } }),
    };
  }

  /** What was asked for, of the pictures that the engine drew. */
  async cut<Picture extends Pick<EnginePicture, 'pixels' | 'width' | 'height'>>(
    picture: Picture,
  ): Promise<Picture> {
    const { width, height, pixels } = picture;
    const part = this.partOf(picture);
    const asked = this.request.hires ?? this.request;
    // An upscaler enlarged it.
    const factor = width / drawnSize(this.request).width;
    const size = { width: asked.width * factor, height: asked.height * factor };
    if (isOf(part, picture) && isOf(size, picture)) return picture;
    const cut: Buffer[] = [];
    for (let at = 0; at < pixels.length; at += width * height * 3) {
      const one = cutOut({ pixels: pixels.subarray(at), width, height }, part);
      cut.push(isOf(size, part) ? one : await resized({ ...part, pixels: one }, size));
    }
    return { ...picture, ...size, pixels: Buffer.concat(cut) };
  }

  preview(preview: Preview): Preview {
    const { width, height, ...part } = this.partOf(preview);
    if (isOf({ width, height }, preview)) return preview;
    return { ...preview, width, height, pixels: cutOut(preview, { width, height, ...part }) };
  }

  /** Whatever its size. */
  private partOf({ width, height }: Size): Region {
    const { request, base } = this;
    const [w, h] = [(width * request.width) / base.width, (height * request.height) / base.height].map(
      Math.round,
    );
    return { x: (width - w) >> 1, y: (height - h) >> 1, width: w, height: h };
  }
}

const isOf = (one: Size, { width, height }: Size) => one.width === width && one.height === height;
