import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { ServiceError } from '@app/errors';
import type {
  EngineCommand,
  EngineEvent,
  EngineInfo,
  Generated,
  GenerateOptions,
  GenerateProgress,
} from './engine.messages';

/** An answer of the engine that is a "no": `code` is the addon's (native/index.d.ts). */
export class EngineFailure extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface EngineListeners {
  /** 0..100, from 0 again for each of the model's files. */
  loading?(percent: number): void;
  warming?(): void;
  /** A warning or an error of the engine, or a line that it wrote to its standard error before it died. */
  log?(level: 'warn' | 'error', line: string): void;
}

const ENGINE_MAIN = join(__dirname, '../../apps/engine/src/main.js');

/**
 * One engine process, from start to death. It is started once, loads once, and draws one picture at a time.
 * When it dies, whatever runs rejects with ServiceError `engine_crashed`.
 */
export class EngineProcess {
  private readonly child: ChildProcess;
  private readonly answers = new EventEmitter<{ answer: [EngineEvent]; end: [ServiceError] }>();
  private end?: ServiceError;

  constructor(
    private readonly listeners: EngineListeners,
    main = ENGINE_MAIN,
  ) {
    this.child = fork(main, {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
    });
    this.child.on('message', (event: EngineEvent) => this.hear(event));
    // A child that cannot be spoken to is of no use, even where it lives on.
    this.child.on('error', (error) => {
      this.kill();
      this.died(error.message);
    });
    this.child.on('disconnect', () => this.kill());
    this.child.on('exit', (code, signal) => this.died(signal ? `killed by ${signal}` : `exit code ${code}`));
    // Without a stream when the process could not even be made; 'error' says why.
    if (this.child.stderr) {
      createInterface({ input: this.child.stderr }).on('line', (line) => this.listeners.log?.('error', line));
    }
  }

  get alive(): boolean {
    return this.end === undefined;
  }

  /** Resolves when the process is gone, however that came. */
  async exited(): Promise<void> {
    if (!this.end) await once(this.answers, 'end');
  }

  load(command: Omit<Extract<EngineCommand, { type: 'load' }>, 'type'>): Promise<EngineInfo> {
    return this.ask({ type: 'load', ...command }, (event) =>
      event.type === 'loaded' ? event.info : undefined,
    );
  }

  /** Draws one picture. An aborted `signal` stops the engine at its next check; then this rejects with `cancelled`. */
  async generate(
    options: GenerateOptions,
    signal?: AbortSignal,
    onProgress?: (progress: GenerateProgress) => void,
  ): Promise<Generated> {
    const cancel = () => this.send({ type: 'cancel' });
    const picture = this.ask({ type: 'generate', options }, (event) => {
      if (event.type === 'progress') onProgress?.(event.progress);
      return event.type === 'generated' ? event.picture : undefined;
    });
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel);
    try {
      return await picture;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  private send(command: EngineCommand): void {
    // A child that is going away refuses; its death is told by 'exit'.
    if (this.child.connected) this.child.send(command, () => {});
  }

  private ask<Answer>(
    command: EngineCommand,
    read: (event: EngineEvent) => Answer | undefined,
  ): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (this.end) return reject(this.end);
      const settle = (done: () => void) => {
        this.answers.off('answer', onAnswer).off('end', onEnd);
        done();
      };
      const onEnd = (error: ServiceError) => settle(() => reject(error));
      const onAnswer = (event: EngineEvent) => {
        if (event.type === 'failed')
          return settle(() => reject(new EngineFailure(event.code, event.message)));
        const answer = read(event);
        if (answer !== undefined) settle(() => resolve(answer));
      };
      this.answers.on('answer', onAnswer).on('end', onEnd);
      this.send(command);
    });
  }

  private hear(event: EngineEvent): void {
    if (this.end) return;
    if (event.type === 'loading') this.listeners.loading?.(event.percent);
    else if (event.type === 'warming') this.listeners.warming?.();
    else if (event.type === 'log')
      this.listeners.log?.(event.level === 'error' ? 'error' : 'warn', event.line);
    else this.answers.emit('answer', event);
  }

  private died(how: string): void {
    if (this.end) return;
    this.end = new ServiceError(
      'engine_crashed',
      `The engine process died (${how}); a new one is starting. Try again.`,
    );
    this.answers.emit('end', this.end);
  }
}
