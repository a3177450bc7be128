import type { Size } from '@app/config';
import {
  drawnSize,
  DEFAULT_GUIDANCE_SCALE,
  DEFAULT_IP_ADAPTER_SCALE,
  REFERENCE_SIDE,
  SIZE_STEP,
} from '@app/models/family';
import { shrunk } from '@app/pictures';
import { EngineFailure } from './engine.errors';
import type { EngineProcess } from './engine.process';
import type { GenerateOptions } from './engine.protocol';
import type { RestartPolicy } from './restart.policy';

/** What of a picture decides whether a device can draw it. */
export interface PictureKind extends Pick<GenerateOptions, 'width' | 'height' | 'vaeTiling'> {
  /** It has a reference picture. */
  readonly reference: boolean;
}

export const SMALLEST: PictureKind = { width: SIZE_STEP, height: SIZE_STEP, reference: false };

/** Pixels of the largest probe on a processor: SDXL's own size would take it minutes, and all of its cores. */
const MOST_ON_CPU = 256 * 256;

export const pixels = ({ width, height }: Size): number => width * height;

type Picture = Pick<GenerateOptions, 'width' | 'height' | 'hires' | 'vaeTiling' | 'reference'>;

export const kindOf = (picture: Picture): PictureKind => ({
  ...drawnSize(picture),
  vaeTiling: picture.vaeTiling,
  reference: picture.reference !== undefined,
});

export const smallerOf = (one: PictureKind, other: PictureKind): PictureKind =>
  pixels(other) < pixels(one) ? other : one;

/** Half of its pixels, while there is less. */
export const halved = (kind: PictureKind): PictureKind => ({ ...kind, ...shrunk(kind, pixels(kind) / 2) });

/** Rejects where the engine cannot draw such a picture. */
export async function probe(
  engine: Pick<EngineProcess, 'generate'>,
  kind: PictureKind,
  onCpu: boolean,
): Promise<void> {
  try {
    await engine.generate(probePicture(kind, onCpu));
  } catch (error) {
    // One step may well give a flat one.
    if (!(error instanceof EngineFailure && error.code === 'flat_picture')) throw error;
  }
}

/** After several deaths: a picture like those under which it died, before it gets a caller's. */
export async function prove(
  engine: Pick<EngineProcess, 'generate'>,
  restarts: Pick<RestartPolicy, 'probe' | 'deaths' | 'probeFailed'>,
  onCpu: boolean,
  warming: (reason: string) => void,
): Promise<void> {
  if (!restarts.probe) return;
  warming(`drawing a probe picture, after ${restarts.deaths} deaths`);
  await probe(engine, restarts.probe, onCpu).catch((error: unknown) => {
    restarts.probeFailed();
    throw error;
  });
}

/** One step of such a picture: its memory and its kernels are those of all steps. */
export function probePicture(kind: PictureKind, onCpu: boolean): GenerateOptions {
  const { width, height } = onCpu && pixels(kind) > MOST_ON_CPU ? shrunk(kind, MOST_ON_CPU) : kind;
  return {
    ...{ prompt: 'probe', width, height, steps: 1, guidanceScale: DEFAULT_GUIDANCE_SCALE, seed: 0 },
    vaeTiling: kind.vaeTiling,
    reference: kind.reference
      ? { pixels: Buffer.alloc(REFERENCE_SIDE ** 2 * 3, 128), strength: DEFAULT_IP_ADAPTER_SCALE }
      : undefined,
  };
}
