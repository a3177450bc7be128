/*
 * What the model family brings with it: SDXL's shapes, what is usual for its pictures, and the files that go with its
 * checkpoints. It imports nothing: the configuration, which is below the rest of this folder, the server and the engine
 * process all read it as @app/models/family.
 */

/** The engine draws sides that are multiples of 64 pixels, and makes others larger. */
export const SIZE_STEP = 64;
/** Sides that can be asked for are multiples of 8 pixels, those of the latent. */
export const ASKED_STEP = 8;
export const MAX_SIDE = 4096;
/** Of the square picture that SDXL was trained on. */
export const DEFAULT_SIDE = 1024;

export const DEFAULT_STEPS = 50;
export const MAX_STEPS = 150;
export const DEFAULT_GUIDANCE_SCALE = 5;
export const MAX_GUIDANCE_SCALE = 30;
/** Layers of the first text encoder; the second has more. */
export const MAX_CLIP_SKIP = 12;
export const DEFAULT_IP_ADAPTER_SCALE = 0.6;
/** Share of the steps that heed PhotoMaker's picture; its authors draw the first fifth without it. */
export const DEFAULT_IDENTITY_STRENGTH = 0.8;
export const DEFAULT_LORA_SCALE = 1;
/** Strongest, in either direction. */
export const MAX_LORA_SCALE = 2;
export const MAX_LORAS = 8;
/** Of its file, without the ending. Keeps requests inside the folder: no separator, no leading dot. */
export const LORA_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** How much of a picture to begin from is changed: what is usual, and where a mask says which part of it is. */
export const DEFAULT_STRENGTH = 0.75;
export const DEFAULT_MASKED_STRENGTH = 1;
/** How strongly a ControlNet guides, at most. */
export const MAX_CONTROL_STRENGTH = 2;
/** Pictures that the engine makes of one request. */
export const MAX_BATCH = 16;
/** How much a second sampling at a larger size changes of the first, and by how much it may enlarge. */
export const DEFAULT_HIRES_STRENGTH = 0.7;
export const MIN_HIRES_STRENGTH = 0.01;
export const MAX_HIRES_SCALE = 4;
/** How much of a face is changed that is painted again: it stays the same face, and gets its details. */
export const DEFAULT_FACE_STRENGTH = 0.4;
/** How the first picture becomes larger for it, as the engine and AUTOMATIC1111 name it. */
export const HIRES_UPSCALERS = [
  'Latent',
  'Latent (nearest)',
  'Latent (nearest-exact)',
  'Latent (antialiased)',
  'Latent (bicubic)',
  'Latent (bicubic antialiased)',
  'Lanczos',
  'Nearest',
] as const;
export type HiresUpscaler = (typeof HIRES_UPSCALERS)[number];

/** Side of the square RGB picture that the IP-Adapter's image encoder (CLIP ViT) reads, in pixels. */
export const REFERENCE_SIDE = 224;

/** Above so many pixels the VAE's decoder counts past what an int holds in the engine: it decodes in tiles. */
export const MOST_DECODED_AT_ONCE = 2_048 * 2_048;

/** Hub names of the checkpoint and of what goes with it. */
export const SDXL_BASE = 'stabilityai/stable-diffusion-xl-base-1.0';
/** SDXL's own VAE overflows in fp16: the pictures are black. This one is retrained to stay in range. */
export const SDXL_VAE = 'madebyollin/sdxl-vae-fp16-fix:sdxl_vae.safetensors';
export const IP_ADAPTER = 'h94/IP-Adapter:sdxl_models/ip-adapter_sdxl_vit-h.safetensors';
export const CLIP_VISION = 'h94/IP-Adapter:models/image_encoder/model.safetensors';
/** Adapters that see more of the picture, for the same image encoder; the second one was trained on faces. */
export const IP_ADAPTER_PLUS = 'h94/IP-Adapter:sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors';
export const IP_ADAPTER_PLUS_FACE = 'h94/IP-Adapter:sdxl_models/ip-adapter-plus-face_sdxl_vit-h.safetensors';

/** Numbers of a token's vector, for the first text encoder and for the second. */
export const EMBEDDING_WIDTHS = [768, 1280] as const;

/** Tokens that the text encoders read at once. */
export const PIECE_TOKENS = 75;
/** Of two prompts of an ordinary length: what pictures cost that nobody thinks about. */
const USUAL_PIECES = 2;

/** The most pieces that the prompts can have: a token has at least a byte, and the word BREAK begins a piece anew. */
export const textPieces = (...prompts: readonly string[]): number =>
  prompts.reduce((sum, prompt) => {
    const breaks = prompt.match(/\bBREAK\b/g)?.length ?? 0;
    return sum + 1 + breaks + Math.floor(Buffer.byteLength(prompt) / PIECE_TOKENS);
  }, 0);

/**
 * What a sampling step costs, in pixels of one with ordinary prompts: the UNet computes with each piece of the prompts in
 * every step, whatever the picture's size (48 of 12,000 GFLOP a megapixel), and every pixel looks at it (0.3 % more).
 */
export function stepPixels(pixels: number, pieces: number): number {
  const more = Math.max(0, pieces - USUAL_PIECES);
  return pixels * (1 + more / 400) + 4_096 * more;
}

/** Half a megapixel and ten steps are one unit: a picture at SDXL's defaults costs about ten, a thumbnail one. */
const COST_UNIT = (DEFAULT_SIDE * DEFAULT_SIDE * 10) / 2;
/** Encoding usual prompts, and decoding, in steps. */
const FIXED_STEPS = 6;
/** A piece more to encode, in pixels of a step: 126 GFLOP. */
const PIECE_PIXELS = 11_000;

/** Enlarging by an ESRGAN model, in steps: 64,000 GFLOP a megapixel, with the overlap of its tiles. */
const ENLARGING_STEPS = 5;

interface Sides {
  readonly width: number;
  readonly height: number;
}

/** What of a picture says how often the engine samples. */
export interface Sampled {
  readonly steps: number;
  /** Pictures of the batch; default: one. */
  readonly count?: number;
  /** Of a picture to begin from; default: from noise. */
  readonly strength?: number;
  /** A second sampling of each picture. */
  readonly hires?: { readonly steps: number; readonly strength: number };
  /** The face of each is painted again. */
  readonly faceDetail?: { readonly steps: number; readonly strength: number };
  /** So many were; default: all. */
  readonly paintedFaces?: number;
}

/** As the engine counts them (in floats), of the `steps` of a schedule. */
const taken = (steps: number, strength: number) =>
  Math.min(steps, Math.floor(Math.fround(steps * Math.fround(strength))) + 1);

/** Sampling steps of all pictures of the batch together: those of the first and of the second sampling, and of their faces. */
export function stepsOf({ steps, count = 1, strength = 1, hires, ...face }: Sampled) {
  const { faceDetail, paintedFaces = count } = face;
  const faces = faceDetail ? paintedFaces * taken(faceDetail.steps, faceDetail.strength) : 0;
  if (!hires) return { first: count * taken(steps, strength), second: 0, faces };
  const schedule = Math.max(1, Math.floor(Math.fround(hires.steps / Math.fround(hires.strength))));
  return { first: count * taken(steps, strength), second: count * taken(schedule, hires.strength), faces };
}

/** The same in all. */
export function samplingSteps(picture: Sampled): number {
  const { first, second, faces } = stepsOf(picture);
  return first + second + faces;
}

const onGrid = (side: number) => Math.ceil(side / SIZE_STEP) * SIZE_STEP;

/** The size that the engine draws for one that is asked for: the next larger. */
export const gridSize = ({ width, height }: Sides): Sides => ({
  width: onGrid(width),
  height: onGrid(height),
});

/** The largest size at which the engine samples and decodes a picture: that of the second sampling, if there is one. */
export const drawnSize = (picture: Sides & { readonly hires?: Sides }): Sides =>
  gridSize(picture.hires ?? picture);

/** Side of the square as which a face of a picture is painted again: the model's own, where a picture as large was drawn. */
export function faceSide(picture: Parameters<typeof drawnSize>[0]): number {
  const { width, height } = drawnSize(picture);
  return Math.min(DEFAULT_SIDE, Math.floor(Math.sqrt(width * height) / SIZE_STEP) * SIZE_STEP);
}

export interface Costly extends Sampled, Sides {
  readonly hires?: NonNullable<Sampled['hires']> & Sides;
  /** An upscaler enlarges each picture. */
  readonly upscaler?: unknown;
  readonly prompt: string;
  readonly negativePrompt: string;
}

/** How much of its caller's share of the queue a picture, or a batch of them, takes. */
export function costOf(picture: Costly): number {
  const { prompt, negativePrompt, count = 1, upscaler } = picture;
  const drawn = drawnSize(picture);
  const [base, pixels] = [gridSize(picture), drawn].map(({ width, height }) => width * height);
  const pieces = textPieces(prompt, negativePrompt);
  const { first, second, faces } = stepsOf(picture);
  const face = faceSide(picture) ** 2;
  const sampling =
    first * stepPixels(base, pieces) + second * stepPixels(pixels, pieces) + faces * stepPixels(face, pieces);
  const whole = FIXED_STEPS + (upscaler === undefined ? 0 : ENLARGING_STEPS);
  const again = picture.faceDetail ? FIXED_STEPS * face : 0;
  const fixed = (whole * pixels + again) * count + PIECE_PIXELS * Math.max(0, pieces - USUAL_PIECES);
  return Math.max(1, Math.round((sampling + fixed) / COST_UNIT));
}
