import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEMO, ServiceProcess } from './service.process';

export { isAlive } from './service.process';

const READY_MS = 120_000;

/** For a service that draws after no reference: the image encoder's weights are not converted, which saves half of the load. */
export const NO_REFERENCES = { IMAGE_ENCODER_TYPE: 'native' };

/** For one that draws a picture or two: with no weights converted it loads in a second, not six, and takes twice as long for prompts. */
export const FEW_PICTURES = { ...NO_REFERENCES, TEXT_ENCODER_TYPE: 'native' };

/** The built service and what tests ask it for. */
export class Service {
  private constructor(
    private readonly process: ServiceProcess,
    readonly lines: readonly string[],
  ) {}

  /** Starts with the demo checkpoint; resolves when it listens. `root`: the folder with its dist/. */
  static async start(variables: Variables, root?: string): Promise<Service> {
    const lines: string[] = [];
    const onLine = (line: string) => void lines.push(line);
    return new Service(await ServiceProcess.start({ ...DEMO, ...variables }, { root, onLine }), lines);
  }

  static async startReady(variables: Variables, root?: string): Promise<Service> {
    const service = await Service.start(variables, root);
    try {
      await service.ready();
    } catch (error) {
      // Nobody else would end it.
      await service.stop('SIGKILL');
      throw error;
    }
    return service;
  }

  get url(): string {
    return this.process.url;
  }

  get pid(): number {
    return this.process.pid;
  }

  /** The engine process, or undefined while there is none. */
  get enginePid(): number | undefined {
    return this.process.enginePid;
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
      if (!this.process.alive) throw new Error(`The service ended:\n${this.lines.join('\n')}`);
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

  killGroup(): Promise<void> {
    return this.process.killGroup();
  }

  /** Resolves to how the process ended. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: string | null }> {
    return this.process.stop(signal);
  }
}

type Variables = Readonly<Record<string, string>>;

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
