import type { MemoryWish } from '@app/pipeline';

export interface CardMemory extends Pick<MemoryWish, 'weights'> {
  /** Bytes that are set aside for them. */
  readonly loras: number;
  /** Bytes that nobody uses. The process has its context on the card already. */
  readonly free: number;
  readonly vaeDirectConvolution: boolean;
  /** Bytes of `free` that other engines of the service may still take. */
  readonly promised?: number;
}

/** A picture, and what its engine process did before: bytes depend on both. */
export interface PictureMemory {
  readonly pixels: number;
  readonly inTiles: boolean;
  readonly reference: boolean;
  readonly loras: boolean;
  /** The most pixels that the process decoded at once before. */
  readonly decodedBefore: number;
}

const MIB = 2 ** 20;

/**
 * What the pinned engine asks of a card with flash attention, SDXL's shapes, in bytes: measured over the CUDA stand-in from
 * 512x512 to 1920x1088, in tiles to 4096x4096, where each is a straight line through all sizes (docs/cards.md).
 */
export const NEEDS = {
  /** It gives up where less than this would stay free. */
  reserve: 512 * MIB,
  /** A picture of any size: at most 20 were seen. */
  picture: 24 * MIB,
  /** LoRAs of rank 32 on all layers are 162 MiB; one may be added while the engine runs. */
  loras: 200 * MIB,
  samplingPerPixel: 491,
  /** With the convolutions of the VAE scaled, as the engine does for SDXL: that is 1,024 of these. */
  decodingPerPixel: { direct: 3_840, usual: 7_680 },
  /** Scratch memory, which stays as large as it ever was: of the picture, and of what of it is decoded at once. */
  scratchPerPixel: { sampling: 45, decoding: 513 },
} as const;

/** Of tiles, which have half of the picture's sides, but 256 to 512 pixels each. */
export const TILE = { largest: 512 * 512, narrow: 512 * 256 } as const;

/** Pixels of a tile, at most: a picture that is narrower than a tile is not cut on that side. */
export const tileOf = (pixels: number) =>
  Math.min(pixels, TILE.largest, Math.max(TILE.narrow, Math.ceil(pixels / 4)));

/** For the largest LoRA that there is, if there is a folder for them. */
export const lorasOf = ({ loras }: Pick<MemoryWish, 'loras'>) =>
  loras === undefined ? 0 : Math.max(NEEDS.loras, loras);

/** What stays on the card whatever is drawn, in a process that may have had LoRAs. */
export function resting({ weights: { text, image, rest }, loras }: CardMemory, offload: boolean): number {
  return rest + (offload ? 0 : text + image) + NEEDS.picture + loras;
}

export const decodingOf = ({ vaeDirectConvolution: direct }: CardMemory, pixels: number) =>
  pixels * NEEDS.decodingPerPixel[direct ? 'direct' : 'usual'];

export const scratchOf = (sampled: number, decoded: number) =>
  Math.max(sampled * NEEDS.scratchPerPixel.sampling, decoded * NEEDS.scratchPerPixel.decoding);

/** The most bytes of the card that the process holds while it draws a picture, without its context. */
export function peakOf(card: CardMemory, offloadEncoders: boolean, picture: PictureMemory): number {
  const { pixels, inTiles, reference, loras, decodedBefore } = picture;
  const rest = resting({ ...card, loras: loras ? card.loras : 0 }, offloadEncoders);
  const atOnce = inTiles ? tileOf(pixels) : pixels;
  const sampling = pixels * NEEDS.samplingPerPixel + scratchOf(pixels, decodedBefore);
  const decoding = decodingOf(card, atOnce) + scratchOf(pixels, Math.max(atOnce, decodedBefore));
  const highest = rest + Math.max(sampling, decoding);
  if (!offloadEncoders) return highest;
  const { text, image } = card.weights;
  const encoding = rest + Math.max(text, reference ? image : 0) + scratchOf(0, decodedBefore);
  // Where there is no room for them they come in pieces.
  return Math.max(highest, Math.min(encoding, card.free - NEEDS.reserve));
}
