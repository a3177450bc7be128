import type { Logger } from '@nestjs/common';
import type { Size } from '@app/config';
import type { ServiceError } from '@app/errors';
import { drawnSize } from '@app/models/family';
import { OutOfMemory, type DeviceMemory } from './device.memory';
import type { EngineProcess } from './engine.process';
import type { GenerateRequest } from './pipeline.types';
import { kindOf, pixels, probe, smallerOf, type PictureKind } from './probe.picture';

/** Before the first probe; doubled up to the longest while probes fail, or pictures do after them. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 600_000;

interface Fault {
  readonly kind: PictureKind;
  /** Pixels of the smallest pictures that it concerns. */
  readonly from: number;
  readonly reason: string;
}

/**
 * Keeps pictures from an engine that failed one, while another may draw them: its device may be at fault, such as for a
 * program that has taken its memory. From time to time it is probed with what it failed.
 */
export class Ejection {
  private fault?: Fault;
  /** Pixels of the smallest picture that proves it well. */
  private provenBy = Infinity;
  private ejections = 0;
  private timer?: NodeJS.Timeout;
  private due = false;

  constructor(
    private readonly engine: number,
    private readonly memory: Pick<DeviceMemory, 'decodesInTiles'>,
    private readonly logger: Pick<Logger, 'log' | 'warn'>,
    /** Called when it is time for `probeIfDue`. */
    private readonly onDue: () => void,
  ) {}

  /**
   * It failed a picture with `error`, and another engine is to try. Where memory ran out, smaller pictures may be drawn yet.
   * Returns what is to be called when the other failed it, too.
   */
  eject(request: GenerateRequest, error: ServiceError): () => void {
    const lacksMemory = error instanceof OutOfMemory;
    const size = drawnSize(request);
    const what = lacksMemory ? `ran out of memory for ${size.width}x${size.height}` : `failed a picture`;
    const reason = `engine ${this.engine} ${what}: others are preferred until it has drawn a probe picture`;
    const kind = kindOf({ ...request, vaeTiling: this.memory.decodesInTiles(size) });
    const from = lacksMemory ? pixels(size) : 0;
    const { fault: before, ejections } = this;
    const fault: Fault = {
      kind: before ? smallerOf(kind, before.kind) : kind,
      from: Math.min(from, before?.from ?? from),
      reason,
    };
    this.fault = fault;
    this.provenBy = fault.from;
    this.wait();
    this.logger.warn({ err: error.cause ?? error }, reason);
    return () => {
      if (this.fault !== fault) return;
      this.ejections = ejections;
      if (before) this.fault = before;
      else this.lift();
    };
  }

  /** Whether such a picture is better drawn by another engine. */
  covers(size?: Size): boolean {
    return this.fault !== undefined && (!size || pixels(size) >= this.fault.from);
  }

  get reason(): string | undefined {
    return this.fault?.reason;
  }

  /** @param lend takes the engine, which is free */
  probeIfDue(
    lend: () => { readonly engine: EngineProcess; readonly release: () => void },
    onCpu: boolean,
  ): void {
    if (!this.due || !this.fault) return;
    this.due = false;
    const { engine, release } = lend();
    void probe(engine, this.fault.kind, onCpu)
      .then(
        () => this.lift(),
        () => this.wait(),
      )
      .finally(release);
  }

  /** A caller's picture, which shows more than a probe. */
  drew(size: Size): void {
    if (pixels(size) < this.provenBy) return;
    this.lift();
    this.provenBy = Infinity;
    this.ejections = 0;
  }

  stop(): void {
    clearTimeout(this.timer);
    this.due = false;
  }

  private lift(): void {
    this.stop();
    if (this.fault) this.logger.log(`Engine ${this.engine} gets all pictures again`);
    this.fault = undefined;
  }

  private wait(): void {
    this.stop();
    const pause = Math.min(FIRST_PAUSE * 2 ** Math.min(this.ejections++, 16), LONGEST_PAUSE);
    this.timer = setTimeout(() => {
      this.due = true;
      this.onDue();
    }, pause).unref();
  }
}
