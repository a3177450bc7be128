import {
  DEFAULT_GUIDANCE_SCALE,
  DEFAULT_IP_ADAPTER_SCALE,
  REFERENCE_SIDE,
  SIZE_STEP as LEAST,
} from '@app/models/family';
import type { LoadCommand, MemoryPlan } from '@app/pipeline';
import type { Device, GenerateOptions, Session } from '#native';

/**
 * The smallest picture whose kernels are those of large ones on every card, 7.5 to 12.0: at 64x64 other matrix products
 * are chosen, and the first 1024x1024 compiles another module (docs/cards.md).
 */
const ENOUGH = 256;

/** One way through the engine, tried before anybody waits for it. */
export interface WarmUp {
  /** For people; absent: a prompt alone. */
  readonly path?: string;
  /** Whether nothing should be drawn where it fails: else only those who ask for it are affected. */
  readonly isVital: boolean;
  readonly options: GenerateOptions;
}

/** What the engine was loaded with. */
export interface Paths {
  readonly ipAdapter: boolean;
  readonly photoMaker: boolean;
  /** Applied to a picture, not merged into the weights. */
  readonly lora?: LoadCommand['lora'];
}

/**
 * The pictures after which a device has compiled what users' pictures need, one through each configured path. On a
 * processor there are none: nothing is compiled, and each picture of full-size SDXL would take its seconds at every start.
 */
export function warmUps(
  { name, gpu }: Pick<Device, 'name' | 'gpu'>,
  { ipAdapter, photoMaker, lora }: Paths,
  plan: Pick<MemoryPlan, 'whole'> | undefined,
): WarmUp[] {
  if (!gpu) return [];
  // Elsewhere than on CUDA kernels are few and general, and a step may take long.
  const fits = plan ? Math.floor(Math.sqrt(plan.whole) / LEAST) * LEAST : ENOUGH;
  const side = name.startsWith('CUDA') ? Math.max(LEAST, Math.min(ENOUGH, fits)) : LEAST;
  const text: GenerateOptions = {
    prompt: 'warm-up',
    ...{ width: side, height: side, steps: 1, guidanceScale: DEFAULT_GUIDANCE_SCALE, seed: 0 },
  };
  const pixels = Buffer.alloc(REFERENCE_SIDE ** 2 * 3, 128);
  const paths: WarmUp[] = [{ isVital: true, options: text }];
  if (ipAdapter) {
    const reference = { pixels, strength: DEFAULT_IP_ADAPTER_SCALE };
    paths.push({ path: 'the IP-Adapter', isVital: true, options: { ...text, reference } });
  }
  if (photoMaker) {
    const identity = { pictures: [pixels], strength: 1 };
    const options = { ...text, prompt: 'a person img', identity };
    paths.push({ path: 'PhotoMaker', isVital: true, options });
  }
  if (lora) {
    const { name: lorasName, path } = lora;
    const options = { ...text, loras: [{ path, scale: 1 }] };
    paths.push({ path: `the LoRA "${lorasName}"`, isVital: false, options });
  }
  return paths;
}

/** Draws them one after the other; rejects, naming the path, where a vital one fails. */
export async function warmUp(
  session: Pick<Session, 'generate'>,
  pictures: readonly WarmUp[],
  { warming, warn }: { warming: (path?: string) => void; warn: (line: string) => void },
): Promise<void> {
  for (const { path, isVital, options } of pictures) {
    warming(path);
    try {
      await session.generate(options);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      // One step may well give a flat picture; an engine that cannot draw at all is not ready.
      if (code === 'flat_picture') continue;
      const sentence = `The warm-up picture${path ? ` with ${path}` : ''} failed: ${message}`;
      if (isVital) throw Object.assign(new Error(sentence), { code });
      warn(sentence);
    }
  }
}
