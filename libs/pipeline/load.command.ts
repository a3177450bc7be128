import { defaultSize, isDemo, type Config } from '@app/config';
import { drawnSize } from '@app/models/family';
import { largestLora, smallestLora, weightSizes, type ModelFiles } from '@app/models';
import { wordOf } from './embedding.words';
import type { LoadCommand } from './engine.protocol';
import type { EngineSetup } from './engine.setup';

type Setup = Pick<EngineSetup, 'id' | 'sharers' | 'share'>;

export async function loadCommand(
  config: Config,
  { id, sharers, share }: Setup,
  files: ModelFiles,
): Promise<Omit<LoadCommand, 'type'>> {
  const options = loadOptions(config, files);
  const types = { text: options.textEncoderType, image: options.imageEncoderType };
  // What is wrong with a file the engine says, with its own words for it.
  const weights = await weightSizes(files, types).catch(() => undefined);
  return {
    ...{ options, sharers },
    lora: files.loraDir === undefined ? undefined : await smallestLora(files.loraDir),
    memory: weights && {
      ...{ plan: config.VRAM_PLAN, weights, goal: drawnSize(defaultSize(config)) },
      loras: files.loraDir === undefined ? undefined : await largestLora(files.loraDir),
      ...share?.left(id),
    },
  };
}

/** How the engine loads a model; what is undefined it decides by its device. */
function loadOptions(config: Config, { checkpoint, embeddings, ...files }: ModelFiles) {
  const { vae, ipAdapter, clipVision, photoMaker } = files;
  const encoders = isDemo(config) ? 'q8_0' : 'native';
  return {
    ...{ model: checkpoint, vae, ipAdapter, clipVision, photoMaker },
    embeddings: embeddings?.map(({ path }, index) => ({ name: wordOf(index), path })),
    threads: config.ENGINE_THREADS,
    textEncoderType: config.TEXT_ENCODER_TYPE ?? encoders,
    imageEncoderType: config.IMAGE_ENCODER_TYPE ?? encoders,
    loraMode: config.LORA_MODE,
    flashAttention: config.FLASH_ATTENTION,
    vaeDirectConvolution: config.VAE_DIRECT_CONVOLUTION,
    unetDirectConvolution: config.UNET_DIRECT_CONVOLUTION,
  } satisfies LoadCommand['options'];
}
