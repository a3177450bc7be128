import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** A card as nvidia-smi sees it. NaN: the card or the driver does not tell. */
export interface Card {
  /** The driver's number, which may change, and the name that does not. */
  readonly gpu: string;
  readonly uuid: string;
  /** MiB */
  readonly memoryUsed: number;
  readonly memoryTotal: number;
  /** per cent of the time in which something ran on it */
  readonly utilization: number;
  /** degrees Celsius */
  readonly temperature: number;
}

const QUERY = 'index,uuid,memory.used,memory.total,utilization.gpu,temperature.gpu';
/** Milliseconds. A driver that hangs holds it for ever. */
const KILLED_AFTER = 5_000;

/** One run at a time, which nobody waits for longer than `patience` (milliseconds). */
export class NvidiaSmi {
  private running?: Promise<readonly Card[]>;
  private absent = false;

  constructor(
    private readonly command = 'nvidia-smi',
    private readonly patience = 1_000,
  ) {}

  /** The machine's cards; none where there is no such tool, or where it does not answer in time. */
  async cards(): Promise<readonly Card[]> {
    if (this.absent) return [];
    this.running ??= this.run().finally(() => (this.running = undefined));
    const waited = new AbortController();
    const late = sleep(this.patience, [], { signal: waited.signal, ref: false }).catch(() => []);
    const cards = await Promise.race([this.running, late]);
    waited.abort();
    return cards;
  }

  private async run(): Promise<readonly Card[]> {
    try {
      const { stdout } = await promisify(execFile)(
        this.command,
        [`--query-gpu=${QUERY}`, '--format=csv,noheader,nounits'],
        { timeout: KILLED_AFTER, killSignal: 'SIGKILL' },
      );
      return stdout.trim().split('\n').flatMap(parse);
    } catch (error) {
      this.absent = ['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '');
      return [];
    }
  }
}

/** Words, such as that it has failed, are no card. */
function parse(line: string): Card[] {
  const [gpu, uuid, ...values] = line.split(',').map((field) => field.trim());
  if (values.length !== 4) return [];
  // `[N/A]`, with MIG for one.
  const [memoryUsed, memoryTotal, utilization, temperature] = values.map((value) => parseFloat(value));
  return [{ gpu, uuid, memoryUsed, memoryTotal, utilization, temperature }];
}
