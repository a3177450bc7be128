/** The addon's contract. Everything that crosses between JavaScript and stable-diffusion.cpp is written here. */

export interface Device {
  /** The engine's name for it: `CPU`, `CUDA0`, `Vulkan0`. */
  readonly name: string;
  readonly description: string;
  readonly gpu: boolean;
  /** CUDA's compute capability, where it is known: 8.6. */
  readonly capability?: number;
}

/** A part of the engine that computes on one kind of device, and is a library of its own. */
export interface BackEnd {
  /** `cpu`, `cuda`, `vulkan`. */
  readonly name: string;
  /** How many devices it found. */
  readonly devices: number;
  /** Why it found none: what is missing, and what to do about it. */
  readonly problem?: string;
  /** The least compute capability that CUDA's was compiled for, where it is known: it has no code for older cards. */
  readonly leastCapability?: number;
}

export interface EngineVersion {
  /** `prebuilt VARIANT` (fetched by `npm run engine`) or `SD_CPP_ROOT`. */
  readonly source: string;
  /** Of stable-diffusion.cpp, abbreviated. */
  readonly commit: string;
  /** Of stable-diffusion.cpp: release and commit. */
  readonly version: string;
  /** Features of the processor and the back end, as the engine reports them. */
  readonly system: string;
}

export interface LoadOptions {
  /** An SDXL checkpoint: text encoders, UNet and VAE in one safetensors, gguf or ckpt file. */
  readonly model: string;
  /** Replaces the checkpoint's VAE. */
  readonly vae?: string;
  /** The IP-Adapter's image encoder (CLIP ViT-H). Needed with `ipAdapter`. */
  readonly clipVision?: string;
  readonly ipAdapter?: string;
  /** PhotoMaker 1 for SDXL, in the engine's format. A path with `v2` in it means version 2 to the engine, which needs more. */
  readonly photoMaker?: string;
  /** Textual inversions for SDXL: `name` is the word of a prompt that stands for it. */
  readonly embeddings?: readonly { readonly name: string; readonly path: string }[];
  /** 1..256; default: the physical cores. */
  readonly threads?: number;
  /** Flash attention in the UNet; pays on CUDA and Vulkan. */
  readonly flashAttention?: boolean;
  /** Direct convolution in the VAE: decoding takes less than half of the memory. What it costs depends on the back end. */
  readonly vaeDirectConvolution?: boolean;
  /** The same in the UNet. */
  readonly unetDirectConvolution?: boolean;
  /**
   * The weights of the text and image encoders wait in the processor's memory and go to the device for each picture: with
   * SDXL and an IP-Adapter 3 GB less on the card, and 3 GB to copy before each picture.
   */
  readonly offloadEncoders?: boolean;
  /**
   * `runtime` (default): each step computes the LoRAs beside the model. `merged`: they are added to the weights, which
   * costs no step anything and every change of the set a load of the model.
   */
  readonly loraMode?: 'runtime' | 'merged';
  /**
   * Weights of the two text encoders: as in the checkpoint, or converted to 8 bit while loading. On a CPU 8 bit encodes
   * 1.6 times as fast as F16 (measured, AVX2) in half the memory; pictures differ slightly.
   */
  readonly textEncoderType?: 'native' | 'q8_0';
  /**
   * The same of the IP-Adapter's image encoder: published in 32 bit, its half takes 1.2 GB less; 8 bit encodes 1.6 times as
   * fast on a CPU, and changes the likeness a little.
   */
  readonly imageEncoderType?: 'native' | 'f16' | 'q8_0';
  /** A `Device.name`; default: the engine's choice, the first GPU. */
  readonly device?: string;
}

export interface LoraOption {
  readonly path: string;
  /** -2..2 */
  readonly scale: number;
}

export type Sampler =
  | 'euler'
  | 'euler_a'
  | 'heun'
  | 'dpm2'
  | 'dpm++2s_a'
  | 'dpm++2m'
  | 'dpm++2mv2'
  | 'dpm++2m_sde'
  | 'lms'
  | 'ipndm'
  | 'ipndm_v'
  | 'ddim_trailing'
  | 'lcm'
  | 'tcd'
  | 'res_multistep'
  | 'res_2s'
  | 'er_sde'
  | 'euler_cfg_pp'
  | 'euler_a_cfg_pp'
  | 'euler_ge';
export type Scheduler =
  | 'discrete'
  | 'karras'
  | 'exponential'
  | 'ays'
  | 'gits'
  | 'sgm_uniform'
  | 'simple'
  | 'smoothstep'
  | 'kl_optimal'
  | 'lcm'
  | 'beta';

/** Those of the latent cost next to nothing; the others decode the first picture, and encode the larger one. */
export type HiresUpscaler =
  | 'Latent'
  | 'Latent (nearest)'
  | 'Latent (nearest-exact)'
  | 'Latent (antialiased)'
  | 'Latent (bicubic)'
  | 'Latent (bicubic antialiased)'
  | 'Lanczos'
  | 'Nearest';

/** A second sampling at a larger size, which is the picture's then; `strength` 0.01..1 as in `image`; `steps` are taken whole. */
export interface Hires {
  /** Pixels; multiples of 64, 64..4096. */
  readonly width: number;
  readonly height: number;
  /** 1..150 */
  readonly steps: number;
  readonly strength: number;
  /** How the first picture becomes larger: this, or an ESRGAN `model`'s file. */
  readonly upscaler?: HiresUpscaler;
  readonly model?: string;
}

/** A picture that guides where things are. Not with `hires`. */
export interface Control {
  /**
   * The file of a ControlNet for SDXL, in diffusers' format, that fits the model's UNet: with another the engine aborts. One
   * at a time is loaded, and stays until a picture names another.
   */
  readonly model: string;
  /** What it sees: RGB, width x height. */
  readonly pixels: Buffer;
  /** 0..2; 0 is the picture without it, in more time. */
  readonly strength: number;
  /** It sees the edges in `pixels`. */
  readonly canny?: boolean;
}

export type Cache = 'none' | 'easycache' | 'ucache' | 'dbcache' | 'taylorseer' | 'spectrum';

export interface GenerateOptions {
  /** Valid UTF-16, at most 160,000 characters. */
  readonly prompt: string;
  readonly negativePrompt?: string;
  /** Pixels; multiples of 64, 64..4096. */
  readonly width: number;
  readonly height: number;
  /** 1..150 */
  readonly steps: number;
  readonly sampler?: Sampler;
  /** Of one step, at the larger size too, all are `discrete`. */
  readonly scheduler?: Scheduler;
  /** 0..30 */
  readonly guidanceScale: number;
  /** 0..4294967295; the pictures of a batch have this one and those after it. */
  readonly seed: number;
  /** Pictures of the batch, 1..16: the prompts are encoded once. Default: 1. */
  readonly count?: number;
  /** -1 (the model's own) or 1..12 */
  readonly clipSkip?: number;
  /** Guess some steps' outputs from earlier ones: faster, and another picture. Default: none. */
  readonly cache?: Cache;
  /** At most 8. */
  readonly loras?: readonly LoraOption[];
  /** `pixels`: 224 x 224 x 3 bytes, RGB; `strength` 0..1. Needs a session with an IP-Adapter. */
  readonly reference?: { readonly pixels: Buffer; readonly strength: number };
  /**
   * Who the picture shows, by 1..8 pictures of one person as in `reference`. The prompt needs the word `img`, once and behind
   * the noun that means them (`a woman img, ...`). `strength` 0..1 is the share of the steps, the last ones, that heed them:
   * at least one of each sampling, unless it is 0. Needs a session with PhotoMaker.
   */
  readonly identity?: { readonly pictures: readonly Buffer[]; readonly strength: number };
  /**
   * A picture to begin from: RGB, width x height. `strength` 0..1 is how much of the schedule is taken: of n steps the last
   * floor(n * strength) + 1.
   */
  readonly image?: { readonly pixels: Buffer; readonly strength: number };
  /** width x height bytes: above 127 `image` is painted anew. The rest is encoded and decoded, and so changes slightly. */
  readonly mask?: Buffer;
  readonly control?: Control;
  readonly hires?: Hires;
  /** An ESRGAN model's file, which enlarges each picture of the batch by its own factor. */
  readonly upscaler?: string;
  /** Send a picture of 1/8 size after every step; `Session.watchPreviews` changes it. */
  readonly previews?: boolean;
  /**
   * Decode in overlapping tiles of half the picture's sides, 256..512 pixels: slower, in a quarter of the memory or less,
   * and slightly other pixels. A picture of at most 256x256 is one tile.
   */
  readonly vaeTiling?: boolean;
}

/** `image`: a picture is read, by the IP-Adapter's encoder or by the VAE. */
export type EnginePhase = 'text' | 'image' | 'sampling' | 'decoding';

export interface GenerateProgress {
  readonly phase: EnginePhase;
  /** Sampling steps done, of all pictures of the batch together. */
  readonly step: number;
  readonly steps: number;
  /** While previews are on: RGB, width/8 x height/8, just before the progress of the same step. */
  readonly preview?: { readonly pixels: Buffer; readonly width: number; readonly height: number };
}

export interface AppliedLora {
  readonly path: string;
  /** Tensors that changed the model; 0 rejects with `lora_not_applied`. */
  readonly applied: number;
  /** Tensors of the file that the engine looked at. */
  readonly total: number;
}

export interface Generated {
  /** count x height x width x 3 bytes, RGB: the pictures of the batch, one after the other. */
  readonly pixels: Buffer;
  readonly width: number;
  readonly height: number;
  readonly loras: readonly AppliedLora[];
  /**
   * How often the text encoders ran, which read 75 tokens at once: for the prompt, and for the negative prompt where guidance
   * wants it. Empty where the engine does not say.
   */
  readonly textChunks: readonly number[];
  /** Asked for, or the engine's own second attempt when memory ran out. */
  readonly decodedInTiles: boolean;
  /** Milliseconds per phase, enlarging by `upscaler` being a part of `decode`; `engine` is generate_image from call to return. */
  readonly timings: {
    readonly text: number;
    readonly image: number;
    readonly sampling: number;
    readonly decode: number;
    readonly engine: number;
  };
}

/**
 * Rejections and exceptions are Errors with a `code`:
 * `invalid_argument` (a message "Expected X for NAME but received Y"), `load_failed`, `engine_busy`,
 * `cancelled`, `closed`, `generation_failed` (the engine gave up), `flat_picture`,
 * `ip_adapter_not_applied`, `lora_not_applied`, `control_net_not_applied`, `photo_maker_not_applied`, `upscaler_not_applied`, `out_of_memory`. Opening the addon over another engine than it was built
 * for throws `abi_mismatch`. When the engine runs out of memory it may also abort the process; its standard error then says
 * `out of memory: ` and in which words the engine did.
 */
export interface EngineError extends Error {
  readonly code: string;
}

/** One loaded model on one device. At most one session generates at a time in a process. */
export class Session {
  private constructor();
  /** Loads off the event loop. `onProgress` gets 0..100. */
  static load(options: LoadOptions, onProgress?: (percent: number) => void): Promise<Session>;
  /** Whether a reference picture can be used. */
  readonly hasIpAdapter: boolean;
  /** Whether pictures of a person can be used. */
  readonly hasPhotoMaker: boolean;
  /** Rejects at once with `engine_busy` while another generation runs. */
  generate(options: GenerateOptions, onProgress?: (progress: GenerateProgress) => void): Promise<Generated>;
  /** From the next step of the running generation on: previews or none. Nothing runs: nothing happens. */
  watchPreviews(on: boolean): void;
  /** Stops the running generation at the engine's next check; also one that was handed over but not started. */
  cancel(): void;
  /** Frees the model once nothing runs; a running generation is cancelled. Idempotent. */
  close(): void;
}

/** Devices that the engine can use, the processor among them: an engine that lists none is a broken install. */
export function devices(): Device[];

/**
 * Bytes of a device, by its name. Opens it: on a GPU that takes some hundred megabytes of its memory until the process ends.
 * Undefined where the engine or the device does not tell.
 */
export function deviceMemory(device: string): { readonly free: number; readonly total: number } | undefined;

/** Those that are libraries of their own, GPUs first; empty where all are linked into the engine. */
export function backEnds(): BackEnd[];

export function engineVersion(): EngineVersion;

/** Physical cores as the engine counts them: the threads of a session that names none. */
export function physicalCores(): number;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/**
 * The engine's log, line by line, from now on. One listener for the process; `undefined` removes it. Lines below `least`
 * (default: debug) do not cross into JavaScript: the smallest picture has 26.
 */
export function onLog(
  listener: ((level: LogLevel, line: string) => void) | undefined,
  least?: LogLevel,
): void;

/** Asks the kernel to kill this process when its parent dies (Linux; elsewhere it does nothing). */
export function dieWithParent(): void;
