import { MAX_SIDE, MOST_DECODED_AT_ONCE, SIZE_STEP } from '@app/models/family';
import type { MemoryPlan, MemoryWish } from '@app/pipeline';
import { type CardMemory, decodingOf, NEEDS, resting, scratchOf, TILE } from './memory.needs';

export interface CardPlan extends MemoryPlan {
  /** Bytes that it leaves free for other engines of the service. */
  readonly leaves: number;
}

const LEAST = SIZE_STEP * SIZE_STEP;

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
const fixed = (card: CardMemory, offload: boolean) => resting(card, offload) + NEEDS.reserve;

const atOnce = (card: CardMemory, pixels: number) => scratchOf(pixels, pixels) + decodingOf(card, pixels);

const least = (card: CardMemory, offload: boolean) => fixed(card, offload) + atOnce(card, LEAST);

function layOut(card: CardMemory, offloadEncoders: boolean): MemoryPlan {
  const room = card.free - fixed(card, offloadEncoders);
  // Decoding takes more than sampling did.
  const whole = Math.min(Math.floor(room / atOnce(card, 1)), MOST_DECODED_AT_ONCE);
  const inTiles = Math.max(whole, mostInTiles(room, whole));
  return { offloadEncoders, whole, inTiles, sentence: inWords(card, offloadEncoders, whole, inTiles) };
}

/** Whatever was drawn before, up to the largest picture that is decoded at once: its scratch memory stays. */
function mostInTiles(room: number, whole: number): number {
  if (whole < TILE.narrow) return 0;
  const { samplingPerPixel, scratchPerPixel } = NEEDS;
  const sampled = [
    (room - scratchOf(0, whole)) / samplingPerPixel,
    room / (samplingPerPixel + scratchPerPixel.sampling),
  ];
  // What is no larger than this can be decoded, as a picture or as a tile.
  const decoded = whole < TILE.largest ? 4 * whole : Infinity;
  return Math.floor(Math.min(...sampled, decoded));
}

function inWords({ free }: CardMemory, offload: boolean, whole: number, inTiles: number): string {
  const encoders = offload ? 'the encoders go to the card for each picture' : 'all weights stay on the card';
  const tiles = inTiles > whole ? `, up to ${square(inTiles)} in tiles` : '';
  return `${gb(free)} GB free: ${encoders}; pictures up to ${square(whole)} are decoded at once${tiles}`;
}

const gb = (bytes: number) => (bytes / 1e9).toFixed(1);
/** The largest square of at most so many pixels that can be asked for. */
function square(pixels: number): string {
  const side = Math.min(MAX_SIDE, Math.floor(Math.sqrt(pixels) / SIZE_STEP) * SIZE_STEP);
  return `${side}x${side}`;
}
