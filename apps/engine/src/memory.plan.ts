import type { MemoryPlan, MemoryWish } from '@app/pipeline';

export interface CardMemory extends Pick<MemoryWish, 'weights' | 'loras'> {
  /** Bytes that nobody uses. The process has its context on the card already. */
  readonly free: number;
  readonly vaeDirectConvolution: boolean;
  /** Bytes of `free` that other engines of the service may still take. */
  readonly promised?: number;
}

export interface CardPlan extends MemoryPlan {
  /** Bytes that it leaves free for other engines of the service. */
  readonly leaves: number;
}

const MIB = 2 ** 20;

/**
 * What the pinned engine asks of a card with flash attention, SDXL's shapes, in bytes: measured over the CUDA stand-in at
 * 512x512, 1024x1024, 1536x1024 and 1920x1088, where each is a straight line through all four (docs/cards.md).
 */
const NEEDS = {
  /** It gives up where less than this would stay free. */
  reserve: 512 * MIB,
  /** A picture of any size. */
  picture: 66 * MIB,
  /** LoRAs of rank 32 on all layers are 162 MiB. */
  loras: 200 * MIB,
  /** Scratch memory, which stays from the largest picture on. */
  scratchPerPixel: 513,
  samplingPerPixel: 491,
  decodingPerPixel: { direct: 2_816, usual: 6_656 },
} as const;

/** Of the largest tile: 64 of the latent's pixels, 8 of the picture's each. */
const TILE = 512 * 512;
/** Above, the engine's decoder counts past what an int holds. */
const MOST_AT_ONCE = 2_048 * 2_048;
const LEAST = 64 * 64;

/**
 * Throws a sentence where not even the smallest picture fits. Of a card that is shared with engines that are yet to load it
 * takes its part, unless that is too little for the goal: one engine that draws is better than two that do not.
 */
export function planMemory(card: CardMemory, wish: Pick<MemoryWish, 'plan' | 'goal' | 'others'>): CardPlan {
  const all = Math.max(0, card.free - (card.promised ?? 0));
  const part = Math.floor(all / (1 + (wish.others ?? 0)));
  const planWith = (free: number) => ({ ...planAlone({ ...card, free }, wish), leaves: card.free - free });
  if (part === all) return planWith(all);
  try {
    const plan = planWith(part);
    if (plan.inTiles >= wish.goal.width * wish.goal.height) return plan;
  } catch {
    // Nothing fits into a part.
  }
  return planWith(all);
}

function planAlone(card: CardMemory, { plan: wish, goal }: Pick<MemoryWish, 'plan' | 'goal'>): MemoryPlan {
  const [fast, small] = [false, true].map((offload) => layOut(card, offload));
  const wanted = goal.width * goal.height;
  const choices = { auto: [fast, small], fast: [fast], small: [small] }[wish];
  const plan =
    choices.find(({ whole }) => whole >= wanted) ??
    choices.find(({ inTiles }) => inTiles >= wanted) ??
    choices.find(({ inTiles }) => inTiles >= LEAST);
  if (plan) return plan;
  const other = wish === 'fast' && small.inTiles >= LEAST ? ' VRAM_PLAN=auto needs less' : '';
  throw new Error(
    `out of memory: the model needs ${gb(least(card, wish !== 'fast'))} GB of the card, and ${gb(card.free)} GB are free${card.promised ? ' beside what other engines of the service may take' : ''}.` +
      (other || ' TEXT_ENCODER_TYPE=q8_0, ENABLE_IP_ADAPTER=false or a smaller model need less'),
  );
}

/** All but what grows with the picture. */
function fixed({ weights: { text, image, rest }, loras }: CardMemory, offload: boolean): number {
  const weights = rest + (offload ? 0 : text + image);
  return weights + NEEDS.reserve + NEEDS.picture + (loras ? NEEDS.loras : 0);
}

const decoding = ({ vaeDirectConvolution: direct }: CardMemory) =>
  NEEDS.decodingPerPixel[direct ? 'direct' : 'usual'];

const least = (card: CardMemory, offload: boolean) =>
  fixed(card, offload) + LEAST * (NEEDS.scratchPerPixel + decoding(card));

function layOut(card: CardMemory, offloadEncoders: boolean): MemoryPlan {
  const room = card.free - fixed(card, offloadEncoders);
  const { scratchPerPixel, samplingPerPixel } = NEEDS;
  const sampled = Math.floor(room / (scratchPerPixel + samplingPerPixel));
  const decoded = Math.floor(room / (scratchPerPixel + decoding(card)));
  const whole = Math.min(sampled, decoded, MOST_AT_ONCE);
  // What is no larger than a tile takes no more in tiles.
  const tiled = Math.min(sampled, Math.floor((room - TILE * decoding(card)) / scratchPerPixel));
  const inTiles = Math.max(whole, tiled);
  return { offloadEncoders, whole, inTiles, sentence: inWords(card, offloadEncoders, whole, inTiles) };
}

function inWords({ free }: CardMemory, offload: boolean, whole: number, inTiles: number): string {
  const encoders = offload ? 'the encoders go to the card for each picture' : 'all weights stay on the card';
  const tiles = inTiles > whole ? `, up to ${square(inTiles)} in tiles` : '';
  return `${gb(free)} GB free: ${encoders}; pictures up to ${square(whole)} are decoded at once${tiles}`;
}

const gb = (bytes: number) => (bytes / 1e9).toFixed(1);
/** The largest square of at most so many pixels that can be asked for. */
function square(pixels: number): string {
  const side = Math.min(4_096, Math.floor(Math.sqrt(pixels) / 64) * 64);
  return `${side}x${side}`;
}
