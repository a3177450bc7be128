import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const WEIGHTS = join(__dirname, '../../bench/weights/weights.mjs');

/**
 * SDXL with all that belongs to it, at its full size, as files of holes: 11 GB of names and shapes that take no room, for a
 * device that computes nothing. Returns the variables that make it the service's model.
 */
export function fullSizeModel(folder: string): Record<string, string> {
  const script = `
    import { mkdirSync, renameSync } from 'node:fs';
    import { makeWeights } from ${JSON.stringify(WEIGHTS)};
    const files = await makeWeights(${JSON.stringify(folder)}, { channels: 320, seed: 1, sparse: true });
    mkdirSync(${JSON.stringify(join(folder, 'loras'))});
    renameSync(files.lora, ${JSON.stringify(join(folder, 'loras/everything.safetensors'))});
    console.log(JSON.stringify(files));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  const { model, vae, ipAdapter, clipVision } = JSON.parse(stdout) as Record<string, string>;
  return {
    ...{ MODEL_PATH: '', MODEL_FILE: model, VAE_PATH: vae },
    ...{ IP_ADAPTER_PATH: ipAdapter, CLIP_VISION_PATH: clipVision, LORA_DIR: join(folder, 'loras') },
  };
}
