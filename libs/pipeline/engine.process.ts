import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { EngineCrashed, EngineFailure } from './engine.errors';
import { ENGINE_MAIN, forkEngine } from './engine.fork';
import type {
  EngineCommand,
  EngineEvent,
  EngineInfo,
  EnginePicture,
  LoadCommand,
  OpenCommand,
  GenerateOptions,
  GenerateProgress,
} from './engine.protocol';
import { EngineWords } from './engine.words';
import { loraSet } from './lora.set';
import { EngineWatchdog, HEARTBEAT } from './engine.watchdog';
import { onChange } from './previews.wish';
import { kindOf, type PictureKind } from './probe.picture';
import { phaseFrom, sizeOf, type PhaseBounds } from './phase.bounds';
import type { EngineDeath, EngineListeners, PictureListeners } from './engine.listeners';

/** From the death of a process until its last lines are read, at most. */
const LAST_WORDS_MS = 1_000;
/** From SIGKILL until a process that a driver holds is given up: it dies when the driver lets go. */
const KILL_MS = 5_000;

/**
 * One engine process, from start to death. It is started and opened once, loads once, and draws one picture at a time.
 * When it dies, whatever runs rejects with EngineCrashed. One that hangs is killed.
 */
export class EngineProcess {
  private readonly child: ChildProcess;
  private readonly events = new EventEmitter<{ event: [EngineEvent]; end: [] }>();
  private readonly words = new EngineWords();
  private readonly watchdog: EngineWatchdog;
  /** The LoRAs of its last picture, see `loraSet`: with LORA_MODE=merged they are in the weights still. */
  loras = loraSet();
  private pictures = 0;
  /** The picture that it draws; that of the one before may still be on its way. */
  private drawing?: number;
  /** That it draws, or has drawn when it died. */
  private picture?: PictureKind;
  private exit?: string;
  private ended = false;

  constructor(
    private readonly listeners: EngineListeners,
    bounds: PhaseBounds,
    variables: Readonly<Record<string, string>> = {},
    main = ENGINE_MAIN,
  ) {
    this.watchdog = new EngineWatchdog(bounds, (why) => {
      this.exit ??= `hung: ${why}`;
      this.kill();
    });
    this.child = forkEngine(main, variables);
    this.watchdog.enter('starting');
    this.child.on('message', (event: EngineEvent) => this.hear(event));
    // A child that cannot be spoken to is of no use, even where it lives on.
    this.child.on('error', (error) => {
      this.kill();
      this.exit ??= error.message;
      this.end();
    });
    this.child.on('disconnect', () => this.kill());
    this.child.on('exit', (code, signal) => {
      this.exit ??= signal ? `killed by ${signal}` : `exit code ${code}`;
      this.watchdog.stop();
      // Whatever inherited its pipes must not keep the next engine from starting.
      setTimeout(() => this.end(), LAST_WORDS_MS).unref();
    });
    // Later than 'exit': by now everything that it wrote was read.
    this.child.on('close', () => this.end());
    // Without a stream when the process could not even be made; 'error' says why.
    if (this.child.stderr)
      createInterface({ input: this.child.stderr }).on('line', (line) => this.log('error', line));
  }

  get alive(): boolean {
    return this.exit === undefined && this.child.connected;
  }

  /** Undefined while it lives. */
  get death(): EngineDeath | undefined {
    const { exit, picture } = this;
    const { cause, outOfMemory } = this.words;
    return exit ? { how: cause ? `${exit}, ${cause}` : exit, picture, outOfMemory } : undefined;
  }

  /** Resolves when the process is gone, however that came. */
  async exited(): Promise<void> {
    if (!this.ended) await once(this.events, 'end');
  }

  /** Chooses the device. After it the process waits for its model, as long as that takes. */
  async open(command: Omit<OpenCommand, 'type' | 'heartbeat'>): Promise<void> {
    await this.ask({ type: 'open', heartbeat: HEARTBEAT, ...command }, (event) => {
      if (event.type !== 'chosen') return undefined;
      this.watchdog.rest();
      return true;
    });
  }

  load(command: Omit<LoadCommand, 'type'>): Promise<EngineInfo> {
    if (this.alive) this.watchdog.enter('loading');
    return this.ask({ type: 'load', ...command }, (event) => {
      if (event.type !== 'loaded') return undefined;
      this.watchdog.rest();
      return event.info;
    });
  }

  /** Draws one picture. An aborted `signal` stops the engine at its next check; then this rejects with `cancelled`. */
  async generate(options: GenerateOptions, listeners: PictureListeners = {}): Promise<EnginePicture> {
    const id = ++this.pictures;
    // What it said before is about other pictures; but a dead one was not asked for this.
    if (this.alive) this.words.outOfMemory = false;
    const askForPreviews = onChange(
      async () => (await listeners.previewsWanted?.()) ?? false,
      (on) => this.send({ type: 'previews', id, on }),
    );
    this.drawing = id;
    this.picture = kindOf(options);
    this.loras = loraSet(options.loras);
    this.watch({ phase: options.reference || options.image ? 'image' : 'text', step: 0 }, options, listeners);
    const picture = this.ask({ type: 'generate', id, options }, (event) => {
      if (event.type === 'generated') return event.picture;
      if (event.type === 'drawn') {
        this.over(id);
        listeners.onDrawn?.();
      }
      if (event.type !== 'progress') return undefined;
      const { preview, ...progress } = event.progress;
      if (preview) listeners.onPreview?.({ ...preview, step: progress.step });
      else {
        this.watch(progress, options, listeners);
        listeners.onProgress?.(progress);
      }
      askForPreviews();
      return undefined;
    });
    const { signal } = listeners;
    const cancel = () => this.send({ type: 'cancel', id });
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel);
    try {
      return await picture;
    } finally {
      this.over(id, false);
      if (this.alive && this.drawing === undefined) this.picture = undefined;
      signal?.removeEventListener('abort', cancel);
    }
  }

  kill(): void {
    this.child.kill('SIGKILL');
    setTimeout(() => {
      this.exit ??= 'killed, and still held by a driver';
      this.end();
    }, KILL_MS).unref();
  }

  private watch(
    progress: Pick<GenerateProgress, 'phase' | 'step'>,
    options: GenerateOptions,
    { reads }: PictureListeners,
  ): void {
    const phase = phaseFrom(progress, options);
    this.watchdog.enter(phase, sizeOf(phase, options, progress.step), reads);
  }

  /** The engine has finished a picture. Not with the next one, which may be asked for before this one's pixels came. */
  private over(id: number, completed = true): void {
    if (this.drawing !== id) return;
    this.drawing = undefined;
    this.watchdog.rest(completed);
  }

  private send(command: EngineCommand): void {
    // A child that is going away refuses; its death is reported by 'exit'.
    if (this.child.connected) this.child.send(command, () => {});
  }

  /** Sends a command and hears the events about it until `read` finds the answer in one. */
  private ask<Answer>(
    command: Extract<EngineCommand, { type: 'open' | 'load' | 'generate' }>,
    read: (event: EngineEvent) => Answer | undefined,
  ): Promise<Answer> {
    const begun = this.alive;
    const id = idOf(command);
    return new Promise<Answer>((resolve, reject) => {
      if (this.ended) return reject(this.crash(begun));
      const settle = (done: () => void) => {
        this.events.off('event', onEvent).off('end', onEnd);
        done();
      };
      const onEnd = () => settle(() => reject(this.crash(begun)));
      const onEvent = (event: EngineEvent) => {
        if (idOf(event) !== id) return;
        if (event.type === 'failed')
          return settle(() => reject(new EngineFailure(event.code, event.message)));
        const answer = read(event);
        if (answer !== undefined) settle(() => resolve(answer));
      };
      this.events.on('event', onEvent).on('end', onEnd);
      this.send(command);
    });
  }

  private hear(event: EngineEvent): void {
    this.watchdog.heard();
    if (event.type === 'alive') this.watchdog.expectHeartbeats();
    else if (event.type === 'opened') this.listeners.opened?.(event);
    else if (event.type === 'loading') {
      this.watchdog.enter('loading');
      this.listeners.loading?.(event.percent);
    } else if (event.type === 'warming') {
      this.watchdog.enter('warming');
      this.listeners.warming?.(event.path);
    } else if (event.type === 'log') this.log(event.level === 'error' ? 'error' : 'warn', event.line);
    else {
      if (event.type === 'chosen') this.listeners.chosen?.(event.device);
      this.events.emit('event', event);
    }
  }

  private log(level: 'warn' | 'error', line: string): void {
    this.words.hear(line, level);
    this.listeners.log?.(level, line);
  }

  private crash(begun: boolean): EngineCrashed {
    const { lines, outOfMemory } = this.words;
    return new EngineCrashed(this.exit ?? 'its pipes closed', begun, [...lines], outOfMemory);
  }

  private end(): void {
    if (this.ended) return;
    this.ended = true;
    this.watchdog.stop();
    this.events.emit('end');
  }
}

const idOf = (message: EngineCommand | EngineEvent) => ('id' in message ? message.id : undefined);
