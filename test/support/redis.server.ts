import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from './ports';
import type { Server } from './requires';

/** For describeWith. */
export const REDIS_SERVER: Server = {
  name: 'redis-server',
  install: 'apt-get install -y --no-install-recommends redis-server',
  available: () => spawnSync('redis-server', ['--version']).status === 0,
};

/** A Redis of its own. In memory only, what it held is gone when it ends; with a folder it is there again. */
export class RedisServer {
  private constructor(
    private readonly port: number,
    private child: ChildProcess,
    private readonly folder?: string,
  ) {}

  static async start({ folder }: { readonly folder?: string } = {}): Promise<RedisServer> {
    const failures: unknown[] = [];
    // Between choosing a port and listening on it another process may take it.
    for (let attempt = 0; attempt < 3; attempt++) {
      const [port] = await freePorts(1);
      try {
        return new RedisServer(port, await listen(port, folder), folder);
      } catch (error) {
        failures.push(error);
      }
    }
    throw new AggregateError(failures, 'redis-server does not start');
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** On the same port; empty without a folder. */
  async restart(): Promise<void> {
    await this.kill();
    this.child = await listen(this.port, this.folder);
  }

  /** At once, as a crash does. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    this.child.kill(signal);
    await exit;
  }
}

async function listen(port: number, folder?: string): Promise<ChildProcess> {
  const kept = folder
    ? `--appendonly yes --appendfsync always --dir ${folder}`
    : `--appendonly no --rdb-del-sync-files yes --dir ${tmpdir()}`;
  const options = `--port ${port} --bind 127.0.0.1 --maxmemory-policy noeviction ${kept}`;
  const child = spawn('redis-server', [...options.split(' '), '--save', ''], { stdio: 'ignore' });
  let ended = false;
  child.once('exit', () => (ended = true)).once('error', () => (ended = true));
  while (!(await answers(port))) {
    if (ended) throw new Error(`redis-server did not start on port ${port}`);
    await sleep(20);
  }
  return child;
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [reply] = (await once(socket, 'data')) as [Buffer];
    return reply.toString().startsWith('+PONG');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
