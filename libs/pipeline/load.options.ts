import { isDemo, type Config } from '@app/config';
import type { ModelFiles } from '@app/models';
import type { LoadCommand } from './engine.protocol';

/** How the engine loads a model; what is undefined it decides by its device. */
export function loadOptions(config: Config, { checkpoint, vae, ipAdapter, clipVision }: ModelFiles) {
  const encoders = isDemo(config) ? 'q8_0' : 'native';
  return {
    ...{ model: checkpoint, vae, ipAdapter, clipVision },
    threads: config.ENGINE_THREADS,
    textEncoderType: config.TEXT_ENCODER_TYPE ?? encoders,
    imageEncoderType: config.IMAGE_ENCODER_TYPE ?? encoders,
    loraMode: config.LORA_MODE,
    flashAttention: config.FLASH_ATTENTION,
    vaeDirectConvolution: config.VAE_DIRECT_CONVOLUTION,
    unetDirectConvolution: config.UNET_DIRECT_CONVOLUTION,
  } satisfies LoadCommand['options'];
}
