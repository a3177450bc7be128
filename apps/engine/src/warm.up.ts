import {
  DEFAULT_GUIDANCE_SCALE,
  DEFAULT_IP_ADAPTER_SCALE,
  REFERENCE_SIDE,
  SIZE_STEP as LEAST,
} from '@app/models/family';
import type { MemoryPlan } from '@app/pipeline';
import type { Device, GenerateOptions } from '#native';

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
  const picture = {
    prompt: 'warm-up',
    width: side,
    height: side,
    steps: 1,
    guidanceScale: DEFAULT_GUIDANCE_SCALE,
    seed: 0,
  };
  if (!cuda || !hasIpAdapter) return picture;
  return {
    ...picture,
    reference: { pixels: Buffer.alloc(REFERENCE_SIDE ** 2 * 3, 128), strength: DEFAULT_IP_ADAPTER_SCALE },
  };
}
