import type { Config } from '@app/config';

/** What is said about a card that several engines share, to the engine that loads next. */
export interface Share {
  /** Bytes that the loaded ones may still take by their plans. */
  readonly promised: number;
  /** Engines of the card that are yet to load, besides this one. */
  readonly others: number;
}

const cards = new WeakMap<Config, Map<string, CardShare>>();

/**
 * One card's engines, where ENGINE_DEVICES names it more than once: they load in turn, or all of them would plan with the
 * same free memory.
 */
export class CardShare {
  private turn: Promise<void> = Promise.resolve();
  private readonly promises = new Map<number, number>();

  constructor(private readonly engines: number) {}

  /** The same for all engines of a service on one device; undefined where a device has one engine. */
  static of(config: Config, device: string | undefined): CardShare | undefined {
    const engines = config.ENGINE_DEVICES.filter((name) => name === device).length;
    if (device === undefined || engines < 2) return undefined;
    const all = cards.get(config) ?? new Map<string, CardShare>();
    cards.set(config, all);
    const share = all.get(device) ?? new CardShare(engines);
    all.set(device, share);
    return share;
  }

  /** Runs `load` when no other engine of the card loads. */
  async inTurn<Result>(load: () => Promise<Result>): Promise<Result> {
    const mine = this.turn.then(load);
    this.turn = mine.then(
      () => {},
      () => {},
    );
    return mine;
  }

  /** For the engine `id`, which is about to load: what it was promised before is void. */
  left(id: number): Share {
    this.promises.delete(id);
    const promised = [...this.promises.values()].reduce((sum, bytes) => sum + bytes, 0);
    return { promised, others: this.engines - 1 - this.promises.size };
  }

  /** The engine is loaded, and may take so many bytes more. */
  promise(id: number, bytes: number): void {
    this.promises.set(id, bytes);
  }
}
