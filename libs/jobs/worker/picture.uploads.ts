import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { ServiceError } from '@app/errors';
import { contentTypeOf } from '@app/pictures';
import { Storage } from '@app/storage';

/** Until a picture that was refused is put again, and the longest that this grows to; milliseconds. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

/** When a picture is given up. */
export interface UploadLimits {
  /** Aborted: it is not put any more. */
  readonly revoked: AbortSignal;
  /** Aborted: it is not put again. */
  readonly signal: AbortSignal;
}

/** Why pictures wait here. */
export interface Refusal {
  readonly pictures: number;
  readonly reason: string;
}

/**
 * Pictures on their way to the storage. One that it refuses for now is kept and put again: drawing took longer than most
 * outages. Meanwhile no other should be begun, for it could not be stored either.
 */
@Injectable()
export class PictureUploads {
  private readonly logger = new Logger('Storage');
  private readonly changes = new EventEmitter<{ change: [] }>().setMaxListeners(0);
  private refused = 0;
  private reason = '';

  constructor(private readonly storage: Storage) {}

  /** undefined: none waits. */
  get refusal(): Refusal | undefined {
    return this.refused > 0 ? { pictures: this.refused, reason: this.reason } : undefined;
  }

  /** Of `refusal`: it began or ended. */
  onChange(listener: () => void): void {
    this.changes.on('change', listener);
  }

  /** Resolves once no picture waits, or `signal` is aborted. */
  async whenTaken(signal: AbortSignal): Promise<void> {
    while (this.refusal && !signal.aborted) await once(this.changes, 'change', { signal }).catch(() => {});
  }

  /** Rejects when the picture is given up, or can never be stored. */
  async put(key: string, file: Buffer, { revoked, signal }: UploadLimits): Promise<void> {
    revoked.throwIfAborted();
    await this.again(() => this.storage.put(key, file, contentTypeOf(key)), signal);
  }

  /** A put that was refused may have been carried out nevertheless. */
  async remove(key: string, signal: AbortSignal): Promise<void> {
    await this.again(() => this.storage.delete(key), signal);
  }

  private async again(attempt: () => Promise<void>, signal: AbortSignal): Promise<void> {
    let waits = false;
    try {
      for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
        try {
          return await attempt();
        } catch (error) {
          if (!isAway(error) || signal.aborted) throw error;
          if (!waits) this.wait(error);
          waits = true;
        }
        await sleep(pause, undefined, { signal });
      }
    } finally {
      if (waits) this.waitNoMore();
    }
  }

  private wait({ message }: ServiceError): void {
    this.reason = message;
    if (this.refused++ > 0) return;
    this.logger.warn(`${message} Pictures are kept and tried again, and no other is begun meanwhile`);
    this.changes.emit('change');
  }

  private waitNoMore(): void {
    if (--this.refused > 0) return;
    this.logger.log('No picture waits for the storage any more');
    this.changes.emit('change');
  }
}

const isAway = (error: unknown): error is ServiceError =>
  error instanceof ServiceError && error.code === 'storage_unavailable';
