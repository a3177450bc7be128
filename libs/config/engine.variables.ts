import { ArrayUnique, IsOptional, Matches } from 'class-validator';
import { ModelVariables } from './model.variables';
import { Flag, List, OneOf, Whole } from './rules';

/** On which devices pictures are drawn, and how. */
export class EngineVariables extends ModelVariables {
  // --- the engine ---

  /**
   * Engine processes, one a device, separated by commas: GPUs by number or UUID (as `nvidia-smi` has them; MIG- too) or
   * devices by the engine's names (CUDA0, Vulkan0, CPU). Default: the first GPU, else the processor. A named device that
   * is not there is reported, not replaced. A GPU's number twice: two engines on it, where it has memory for both. UUIDs
   * are NVIDIA's and AMD's; other makers' GPUs go by number or name.
   * @example 0,1
   */
  @List()
  @Matches(/^(\d{1,3}|(GPU|MIG)-[A-Za-z0-9/-]+|[A-Za-z]+\d{0,3})$/, {
    each: true,
    message:
      'ENGINE_DEVICES must be GPUs by number or UUID, or devices by name, separated by commas: 0,1 or Vulkan0,CPU',
  })
  @ArrayUnique((device: string) => (/^[A-Za-z]+\d*$/.test(device) ? device : {}), {
    message: 'ENGINE_DEVICES must name each device once, except GPUs by number or UUID',
  })
  ENGINE_DEVICES: string[] = [];

  /** Engine processes on a machine without GPUs, where ENGINE_DEVICES names none. Each loads the model and takes its share of the cores. */
  @Whole(1, 64)
  ENGINE_PROCESSES = 1;

  /**
   * Threads of the engine on a CPU. Default: the physical cores.
   * @example 8
   */
  @IsOptional()
  @Whole(1, 256)
  ENGINE_THREADS?: number;

  /**
   * Weights of the text encoders: `native`, as in the checkpoint, or `q8_0`, 8 bit: on a CPU prompts are encoded 1.6
   * times as fast, and pictures differ slightly. Default: native; q8_0 for the demo.
   * @example q8_0
   */
  @IsOptional()
  @OneOf('native', 'q8_0')
  TEXT_ENCODER_TYPE?: 'native' | 'q8_0';

  /**
   * Weights of the IP-Adapter's image encoder: `native`, `f16` (as published it is 32 bit: 1.2 GB less) or `q8_0`, 8 bit,
   * which changes the likeness a little. Default: native; q8_0 for the demo.
   * @example f16
   */
  @IsOptional()
  @OneOf('native', 'f16', 'q8_0')
  IMAGE_ENCODER_TYPE?: 'native' | 'f16' | 'q8_0';

  /**
   * Flash attention in the UNet. Default: on GPUs, where it takes less time and memory.
   * @example true
   */
  @IsOptional()
  @Flag()
  FLASH_ATTENTION?: boolean;

  /**
   * Direct convolution while pictures are decoded: less than half of the memory. Default: on GPUs, except with an engine
   * of your own for CUDA, whose kernel may be the slow one of older versions.
   * @example true
   */
  @IsOptional()
  @Flag()
  VAE_DIRECT_CONVOLUTION?: boolean;

  /**
   * Direct convolution in the UNet. Default: off.
   * @example false
   */
  @IsOptional()
  @Flag()
  UNET_DIRECT_CONVOLUTION?: boolean;

  /**
   * How LoRAs are applied: `runtime` computes them beside the model in each step; `merged` adds them to the weights, which
   * costs no step anything, and a load of the model whenever a picture's LoRAs differ from those of the one before.
   */
  @OneOf('runtime', 'merged')
  LORA_MODE: 'runtime' | 'merged' = 'runtime';

  /**
   * Decode pictures in tiles, which is slower and takes a quarter of the memory or less. `retry`: a picture that ran out of
   * memory while it was decoded is drawn once more, in tiles. `always`: every picture is decoded so. `never`: none up to
   * 2048x2048; the engine cannot do larger ones without.
   */
  @OneOf('never', 'retry', 'always')
  VAE_TILING: 'never' | 'retry' | 'always' = 'retry';

  /**
   * What of the model stays on an NVIDIA card: `auto` lets the encoders' weights wait in the processor's memory where the
   * default picture fits better then; `fast` keeps all on the card, `small` as little as there is.
   */
  @OneOf('auto', 'fast', 'small')
  VRAM_PLAN: 'auto' | 'fast' | 'small' = 'auto';

  /** true: start only on a GPU; readiness says "no GPU device" otherwise. The image sets true. */
  @Flag()
  REQUIRE_GPU = false;

  /**
   * Seconds that an engine process may be in one phase (loading, encoding a prompt, one step, decoding) before it is
   * taken for hung and killed, until the phase was measured; then 30 s or ten times the measured p99, whichever is more.
   * Six times as long for pictures on a CPU, and more for pictures of more than a megapixel.
   */
  @Whole(1, 86_400)
  PHASE_TIMEOUT = 600;
}
