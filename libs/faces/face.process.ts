import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import type { FaceEvent, FoundFace, Pixels } from './face.protocol';

/** How the process is started and bounded; specs have others. */
@Injectable()
export class FaceProcessOptions {
  readonly main: string = join(__dirname, '../../apps/faces/src/main.js');
  readonly execArgv: readonly string[] = ['--max-old-space-size=128'];
  /** Milliseconds that a look may take; the first one loads the models. */
  readonly lookLimit: number = 10_000;
  /** Milliseconds without a look after which the process ends; the next look starts it again. */
  readonly idleLimit: number = 60_000;
  /** Bytes that it may hold after a look. It takes 170 MB for pictures of the size that it gets. */
  readonly memoryLimit: number = 400_000_000;
}

interface Look {
  readonly found: (faces: readonly FoundFace[]) => void;
  readonly failed: (error: Error) => void;
}

/**
 * The process that looks for faces (apps/faces): started by the first look, ended when it crashes, hangs, grows or idles.
 * One look at a time.
 */
export class FaceProcess {
  private child?: ChildProcess;
  private look?: Look;
  private idle?: NodeJS.Timeout;
  private lastId = 0;

  constructor(private readonly options: FaceProcessOptions) {}

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Rejects with why nobody looked. */
  async find(picture: Pixels, describe = false): Promise<readonly FoundFace[]> {
    clearTimeout(this.idle);
    const child = (this.child ??= this.start());
    const { lookLimit, idleLimit } = this.options;
    const limit = setTimeout(() => this.end(new Error(`it took longer than ${lookLimit} ms`)), lookLimit);
    try {
      return await new Promise((found, failed) => {
        this.look = { found, failed };
        child.send({ ...picture, describe, id: ++this.lastId }, (error) => {
          if (error && this.child === child) this.end(error);
        });
      });
    } finally {
      clearTimeout(limit);
      this.look = undefined;
      if (this.child) this.idle = setTimeout(() => this.end(), idleLimit).unref();
    }
  }

  /** Kills the process, if there is one; who waits for it is told why. */
  end(reason = new Error('it was ended')): void {
    clearTimeout(this.idle);
    const { child, look } = this;
    this.child = undefined;
    this.look = undefined;
    child?.kill('SIGKILL');
    look?.failed(reason);
  }

  private start(): ChildProcess {
    const { main, execArgv } = this.options;
    // It needs no variables, and so gets none: no keys, no passwords.
    const child = fork(main, {
      execArgv: [...execArgv],
      serialization: 'advanced',
      stdio: 'ignore',
      env: {},
    });
    const ended = (reason: Error) => {
      if (this.child === child) this.end(reason);
    };
    child.on('error', ended);
    child.once('exit', (code, signal) => ended(new Error(`its process ended (${signal ?? code})`)));
    child.on('message', (event: FaceEvent) => {
      if (this.child === child) this.hear(event);
    });
    // The service ends without waiting for it.
    child.unref();
    child.channel?.unref();
    return child;
  }

  private hear(event: FaceEvent): void {
    if (event.id !== this.lastId) return;
    if (event.type === 'failed') return this.end(new Error(event.message));
    this.look?.found(event.faces);
    if (event.memory > this.options.memoryLimit) this.end();
  }
}
