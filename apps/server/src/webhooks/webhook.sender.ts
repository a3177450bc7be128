import { setMaxListeners } from 'node:events';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  Optional,
} from '@nestjs/common';
import { Config } from '@app/config';
import { dueDeliveries, Jobs, type JobRecord } from '@app/jobs';
import { NoPlaceError, Shares } from '@app/outbound';
import { TRACING, type Tracing } from '../tracing/tracing';
import { HostPauses } from './host.pauses';
import { WebhookClient } from './webhook.client';

/** Injection token of what makes a message's `data`. */
export const WEBHOOK_PAYLOAD = Symbol('WEBHOOK_PAYLOAD');
export interface WebhookPayload {
  /** The job as the API shows it. */
  job(job: JobRecord): Promise<object>;
}

/** Deliveries on their way at a time: half of them of one account, an eighth to one host. */
const PLACES = 64;
/** Milliseconds that a claimed delivery waits for a place: claims must not grow old. */
const PATIENCE = 5000;
/** Milliseconds between questions what is due. */
const INTERVAL = 1000;

/**
 * Sends the webhook deliveries that the records note, at least once each. Any number of processes may run one over the
 * same store: a delivery is claimed in its record before it is sent, and a claim that is never settled runs out. Each
 * delivery goes its own way; receivers order those of one job by the timestamp in the message. Receivers are strangers'
 * and may be as slow as they like: so accounts, their callers and hosts have places of their own.
 */
@Injectable()
export class WebhookSender implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(WebhookSender.name);
  private readonly stopping = new AbortController();
  private readonly flights = new Set<Promise<void>>();
  private readonly places = new Shares(PLACES, PATIENCE);
  private readonly pauses = new HostPauses();
  private readonly client: WebhookClient;
  private timer?: NodeJS.Timeout;
  private sweeping?: Promise<void>;
  private again = false;

  constructor(
    private readonly jobs: Jobs,
    @Inject(WEBHOOK_PAYLOAD) private readonly payload: WebhookPayload,
    config: Config,
    @Optional() @Inject(TRACING) private readonly tracing?: Tracing,
  ) {
    this.client = new WebhookClient(config);
    setMaxListeners(0, this.stopping.signal); // one for each that waits
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.poke(), INTERVAL).unref();
    this.poke();
  }

  /** While the store is still open: what is on its way is broken off and put back, for the next process to send. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    this.stopping.abort(new Error('The service is shutting down'));
    await this.idle();
    await this.client.close();
  }

  /** Resolves when all that is due was started and all that was started has ended. */
  async idle(): Promise<void> {
    while (this.sweeping) await this.sweeping;
    await Promise.all(this.flights);
  }

  /** Sends what is due now; the interval does so, too. */
  poke(): void {
    if (!this.client.canSign || this.stopped) return;
    this.again = true;
    this.sweeping ??= this.sweep().finally(() => {
      this.sweeping = undefined;
      if (this.again) this.poke();
    });
  }

  private get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Starts what is due until nothing is; waits for no answers. */
  private async sweep(): Promise<void> {
    try {
      while (this.again && !this.stopped) {
        this.again = false;
        const started = await Promise.all((await this.jobs.webhooksDue()).map((id) => this.startJob(id)));
        if (started.includes(true)) this.again = true;
      }
    } catch (error) {
      this.again = false; // the timer comes back
      this.logger.warn(`Webhooks wait: ${(error as Error).message}`);
    }
  }

  /** Whether anything of the job was this sender's to send. */
  private async startJob(id: string): Promise<boolean> {
    const job = await this.jobs.find(id);
    const now = await this.jobs.now();
    let any = false;
    for (const index of job ? dueDeliveries(job, now) : []) {
      if (this.stopped) return any;
      const claimed = await this.jobs.claimWebhook(id, index);
      if (!claimed) continue;
      any = true;
      const flight = this.deliver(claimed, index).finally(() => this.flights.delete(flight));
      this.flights.add(flight);
    }
    return any;
  }

  /** Never rejects: a delivery whose outcome cannot be recorded comes again when its claim runs out. */
  private async deliver(job: JobRecord, index: number): Promise<void> {
    const { attempts } = job.webhook!.deliveries[index];
    try {
      const outcome = await this.outcome(job, index).catch((error: unknown) => {
        if (this.stopped) return { again: 'at once' } as const;
        if (error instanceof NoPlaceError) return { again: 'later' } as const;
        this.logger.error(`The webhook of job ${job.id} could not be made: ${(error as Error).message}`);
        return 'not sent';
      });
      const settled = await this.jobs.settleWebhook(job.id, index, attempts, outcome);
      const after = settled?.webhook?.deliveries[index];
      if (after?.status === 'failed') {
        const { attempts: made, outcome } = after;
        this.logger.warn(`The webhook of job ${job.id} was given up after ${made} attempts: ${outcome}`);
      }
    } catch (error) {
      this.logger.warn(`The outcome of a webhook of job ${job.id} is lost: ${(error as Error).message}`);
    }
  }

  /** In a few words. Rejects with NoPlaceError, when the message cannot be made, or at shutdown. */
  private async outcome(job: JobRecord, index: number): Promise<string> {
    const { account = '', caller, webhook } = job;
    const { hostname } = new URL(webhook!.url);
    // Another account may well have an answer from there.
    const host = `${account} ${hostname}`;
    return this.places.run(
      [account, caller, hostname],
      this.stopping.signal,
      async () => {
        if (this.pauses.has(host, await this.jobs.now())) throw new NoPlaceError();
        const outcome = await this.attempt(job, index);
        if (/^\d+$/.test(outcome)) this.pauses.answered(host);
        else this.pauses.failed(host, await this.jobs.now());
        return outcome;
      },
      webhook!.deliveries[index].attempts === 1,
    );
  }

  private async attempt(job: JobRecord, index: number): Promise<string> {
    const { url, deliveries } = job.webhook!;
    const { event, at } = deliveries[index];
    const body = JSON.stringify({
      type: event,
      timestamp: new Date(at).toISOString(),
      data: await this.payload.job(job),
    });
    const span = this.tracing?.delivery(job, index);
    let outcome = 'broken_off';
    try {
      const message = { id: `${job.id}-${index}`, url, body, headers: span?.headers };
      return (outcome = await this.client.post(message, this.stopping.signal));
    } finally {
      span?.end(outcome);
    }
  }
}
