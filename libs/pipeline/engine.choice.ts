import type { Size } from '@app/config';
import type { ServiceError } from '@app/errors';
import type { EngineSupervisor } from './engine.supervisor';
import type { EngineStatus, EngineWish, PipelineState } from './pipeline.types';

/** Which of the engines draw what. */
export class EngineChoice {
  constructor(private readonly supervisors: readonly EngineSupervisor[]) {}

  /** Pixels of the largest picture that some engine draws; Infinity: that is seen when it is drawn. */
  get most(): number {
    return Math.max(...this.able.map(({ memory }) => memory.most));
  }

  /** Whether it is all the same which engine draws it. */
  drawsEverywhere(size: Size): boolean {
    return this.able.every(({ memory, ejection }) => memory.fits(size) && !ejection.covers(size));
  }

  /** Whether an engine that is there or coming, and none of these, may draw it; `planned`: is planned to have the memory. */
  drawsElsewhere(size: Size, than: ReadonlySet<number>, planned = false): boolean {
    return this.coming(size).some(({ id, memory }) => !than.has(id) && (!planned || memory.plan));
  }

  /** Whether there is no better one, neither here nor coming. */
  willDo(supervisor: EngineSupervisor, wish: EngineWish = {}): boolean {
    if (wish.size && !supervisor.memory.fits(wish.size)) return false;
    const rank = rankOf(supervisor, wish);
    return rank === 0 || !this.coming(wish.size).some((other) => rankOf(other, wish) < rank);
  }

  /** Why nobody should wait with this wish. */
  refusal({ size, otherwise }: EngineWish = {}): ServiceError | undefined {
    if (otherwise && this.coming().length === 0) return otherwise;
    const { able, most } = this;
    if (!size || able.some(({ memory }) => memory.fits(size))) return undefined;
    const largest = able.find(({ memory }) => memory.most === most)!;
    return largest.memory.exceeded(size);
  }

  /** There or coming, and large enough as far as is known. */
  private coming(size?: Size): readonly EngineSupervisor[] {
    return this.supervisors.filter(({ memory, hopeful }) => hopeful && (!size || memory.fits(size)));
  }

  /** Not what could never be loaded, where others were: that says nothing about what fits. */
  private get able(): readonly EngineSupervisor[] {
    const able = this.supervisors.filter(({ hopeful, memory }) => hopeful || memory.plan);
    return able.length > 0 ? able : this.supervisors;
  }
}

/** Lower is better: what failed this very picture comes after what failed its like. */
function rankOf({ id, ejection }: EngineSupervisor, { size, avoid }: EngineWish): number {
  if (avoid?.has(id)) return 2;
  return ejection.covers(size) ? 1 : 0;
}

/** From the best state of an engine to the worst. */
const STATES: readonly PipelineState[] = [
  'ready',
  'busy',
  'warming',
  'loading',
  'starting',
  'failed',
  'stopped',
];

/** The status of the engine that is furthest. */
export const best = (engines: readonly EngineStatus[]): EngineStatus =>
  engines.reduce((one, other) => (STATES.indexOf(other.state) < STATES.indexOf(one.state) ? other : one));
