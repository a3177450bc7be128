import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEMO_CACHE } from './demo';

const ROOT = join(__dirname, '../..');
const READY_MS = 120_000;

/** For a service that draws after no reference: the image encoder's weights are not converted, which saves half of the load. */
export const NO_REFERENCES = { IMAGE_ENCODER_TYPE: 'native' };

/** For one that draws a picture or two: with no weights converted it loads in a second, not six, and takes twice as long for prompts. */
export const FEW_PICTURES = { ...NO_REFERENCES, TEXT_ENCODER_TYPE: 'native' };

/** The built service as its users run it: a process of its own, with the real engine under it. */
export class Service {
  readonly lines: string[] = [];
  url = '';

  private constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout!, child.stderr!])
      createInterface({ input: stream }).on('line', (line) => this.lines.push(line));
  }

  /** Starts on a free port with the demo checkpoint; resolves when it listens. `root`: the folder with its dist/. */
  static async start(variables: Record<string, string>, root = ROOT): Promise<Service> {
    const defaults = { MODEL_PATH: 'demo', DEMO_CACHE, PORT: '0', RATE_LIMIT_PER_ADDRESS: '0' };
    const env = { PATH: process.env.PATH, ...defaults, ...variables };
    const child = spawn(process.execPath, [join(root, 'dist/apps/server/src/main.js')], {
      cwd: variables.DATA_DIR, // no .env of the developer's
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a process group of its own, for killGroup
    });
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    const service = new Service(child);
    await service.until(() => {
      service.url = /Listening on (http:\S+?)"/.exec(service.lines.join('\n'))?.[1] ?? '';
      return service.url !== '';
    }, 'listens');
    return service;
  }

  static async startReady(variables: Record<string, string>, root = ROOT): Promise<Service> {
    const service = await Service.start(variables, root);
    await service.ready();
    return service;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** The engine process, or undefined while there is none. */
  get enginePid(): number | undefined {
    return childrenOf(this.pid).find((pid) => commandOf(pid).includes('apps/engine'));
  }

  /** What readiness tells of the engines, whether they are ready or not. */
  async pipeline(): Promise<Pipeline> {
    const response = await fetch(`${this.url}/health/ready`);
    return ((await response.json()) as { details: { pipeline: Pipeline } }).details.pipeline;
  }

  async ready(): Promise<void> {
    await this.until(async () => (await fetch(`${this.url}/health/ready`)).ok, 'is ready');
  }

  async until(
    condition: () => boolean | Promise<boolean>,
    what: string,
    milliseconds = READY_MS,
  ): Promise<void> {
    for (const end = Date.now() + milliseconds; !(await condition()); await sleep(50)) {
      if (this.child.exitCode !== null) throw new Error(`The service ended:\n${this.lines.join('\n')}`);
      if (Date.now() > end) throw new Error(`Not in ${milliseconds} ms: ${what}\n${this.lines.join('\n')}`);
    }
  }

  post(
    path: string,
    body: unknown,
    signal?: AbortSignal,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      signal,
    });
  }

  /** Hands in a job and leaves; resolves to its id. */
  async submit(path: string, body: unknown, headers: Record<string, string> = {}): Promise<string> {
    const response = await this.post(path, body, undefined, { ...headers, prefer: 'respond-async' });
    const text = await response.text();
    if (response.status !== 202) throw new Error(`Expected 202 but received ${response.status}: ${text}`);
    return (JSON.parse(text) as { id: string }).id;
  }

  async job(id: string): Promise<Job> {
    const response = await fetch(`${this.url}/v1/jobs/${id}`);
    if (!response.ok) throw new Error(`Expected 200 but received ${response.status}`);
    return (await response.json()) as Job;
  }

  /** Resolves when the job is in one of these states. */
  async jobUntil(id: string, ...states: string[]): Promise<Job> {
    let job!: Job;
    const reached = async () => states.includes((job = await this.job(id)).state);
    await this.until(reached, `job ${id} is ${states.join(' or ')}`);
    return job;
  }

  putPicture(path: string, file: string): Promise<Response> {
    const headers = { 'content-type': 'image/png' };
    return fetch(this.url + path, { method: 'PUT', headers, body: readFileSync(file) });
  }

  /** The service and its engines at once, as a machine dies. */
  async killGroup(): Promise<void> {
    process.kill(-this.pid, 'SIGKILL');
    if (this.child.signalCode === null) await once(this.child, 'exit');
  }

  /** Resolves to how the process ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ code: number | null; signal: string | null }> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill(signal);
      await once(this.child, 'exit');
    }
    return { code: this.child.exitCode, signal: this.child.signalCode };
  }
}

/** A job as the API shows it; what tests look at. */
export interface Job {
  readonly id: string;
  readonly state: string;
  readonly attempts: number;
  readonly position: number | null;
  readonly estimated_end_at: number | null;
  readonly progress: { phase: string; step: number; steps: number; percent: number } | null;
  readonly result: { data: { s3_uri: string; url: string }[]; timings: Record<string, number> } | null;
  readonly error: { code: string; message: string } | null;
  readonly webhook: { deliveries: { event: string; status: string }[] } | null;
}

/** The engines as readiness shows them; what tests look at. */
export interface Pipeline extends EngineState {
  readonly engines: readonly (EngineState & {
    readonly devices?: readonly string[];
    readonly back_ends?: readonly { name: string; devices: number; problem?: string }[];
    readonly memory_plan?: string;
  })[];
}

interface EngineState {
  readonly state: string;
  readonly reason?: string;
  readonly device?: string;
  readonly description?: string;
  readonly gpu?: boolean;
}

/** Whether a process is there and not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return new RegExp(`^PPid:\\s+${parent}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return false; // gone meanwhile
      }
    });
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
