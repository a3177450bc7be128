import pLimit from 'p-limit';

/** What is said about a card that several engines share, to the engine that loads next. */
export interface Share {
  /** Bytes that the loaded ones may still take by their plans. */
  readonly promised: number;
  /** Engines of the card that are yet to load, besides this one. */
  readonly others: number;
}

/**
 * One card's engines, where ENGINE_DEVICES names it more than once: they load in turn, or all of them would plan with the
 * same free memory.
 */
export class CardShare {
  /** Runs a load when no other engine of the card loads. */
  readonly inTurn = pLimit(1);
  private readonly promises = new Map<number, number>();

  constructor(private readonly engines: number) {}

  /** By device, of those in ENGINE_DEVICES that have several engines. */
  static among(devices: readonly string[]): ReadonlyMap<string, CardShare> {
    const engines = (device: string) => devices.filter((name) => name === device).length;
    const shared = [...new Set(devices)].filter((device) => engines(device) > 1);
    return new Map(shared.map((device) => [device, new CardShare(engines(device))]));
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
