import type { MemoryPlan } from '@app/pipeline';
import type { Device, GenerateOptions } from '#native';

/** Side of the reference picture that the addon takes. */
const REFERENCE = 224;
const LEAST = 64;
/**
 * The smallest picture whose kernels are those of large ones on every card, 7.5 to 12.0: at 64x64 other matrix products
 * are chosen, and the first 1024x1024 compiles another module (docs/cards.md).
 */
const ENOUGH = 256;

/**
 * The picture after which a device has compiled what users' pictures need. Elsewhere than on CUDA kernels are few and
 * general, and a step may take long: the smallest one shows that the engine can draw.
 */
export function warmUpPicture(
  { name }: Pick<Device, 'name'>,
  hasIpAdapter: boolean,
  plan: Pick<MemoryPlan, 'whole'> | undefined,
): GenerateOptions {
  const cuda = name.startsWith('CUDA');
  const fits = plan ? Math.floor(Math.sqrt(plan.whole) / LEAST) * LEAST : ENOUGH;
  const side = cuda ? Math.max(LEAST, Math.min(ENOUGH, fits)) : LEAST;
  const picture = { prompt: 'warm-up', width: side, height: side, steps: 1, guidanceScale: 5, seed: 0 };
  if (!cuda || !hasIpAdapter) return picture;
  return { ...picture, reference: { pixels: Buffer.alloc(REFERENCE * REFERENCE * 3, 128), strength: 0.6 } };
}
