import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Config } from '@app/config';
import { dueDeliveries, Jobs, type JobRecord } from '@app/jobs';
import { WebhookClient } from './webhook.client';

/** Injection token of what makes a message's `data`. */
export const WEBHOOK_PAYLOAD = Symbol('WEBHOOK_PAYLOAD');
export interface WebhookPayload {
  /** The job as the API shows it. */
  job(job: JobRecord): Promise<object>;
}

/** Deliveries on their way at a time. */
const MAX_FLIGHTS = 8;
/** Milliseconds between questions what is due. */
const INTERVAL = 1000;

/**
 * Sends the webhook deliveries that the records note, at least once each. Any number of processes may run one over the
 * same store: a delivery is claimed in its record before it is sent, and a claim that is never settled runs out. Each
 * delivery goes its own way; receivers order those of one job by the timestamp in the message.
 */
@Injectable()
export class WebhookSender implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(WebhookSender.name);
  private readonly stopping = new AbortController();
  private readonly flights = new Set<Promise<void>>();
  private readonly client: WebhookClient;
  private timer?: NodeJS.Timeout;
  private sweeping?: Promise<void>;
  private again = false;

  constructor(
    private readonly jobs: Jobs,
    @Inject(WEBHOOK_PAYLOAD) private readonly payload: WebhookPayload,
    config: Config,
  ) {
    this.client = new WebhookClient(config);
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

  /** Starts what is due until nothing is; waits for room only, not for answers. */
  private async sweep(): Promise<void> {
    try {
      while (this.again && !this.stopped) {
        this.again = false;
        for (const id of await this.jobs.webhooksDue()) {
          if (await this.startJob(id)) this.again = true;
        }
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
      // Room first: a claim must not grow old while it waits for some.
      while (this.flights.size >= MAX_FLIGHTS) await Promise.race(this.flights);
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
      const outcome = await this.attempt(job, index).catch((error: unknown) => {
        if (this.stopped) return undefined;
        this.logger.error(`The webhook of job ${job.id} could not be made: ${(error as Error).message}`);
        return 'not sent';
      });
      if (outcome === undefined) {
        await this.jobs.releaseWebhook(job.id, index, attempts);
        return;
      }
      const settled = await this.jobs.settleWebhook(job.id, index, attempts, outcome);
      if (settled?.webhook?.deliveries[index].status === 'failed') {
        this.logger.warn(`The webhook of job ${job.id} was given up after ${attempts} attempts: ${outcome}`);
      }
    } catch (error) {
      this.logger.warn(`The outcome of a webhook of job ${job.id} is lost: ${(error as Error).message}`);
    }
  }

  /** The outcome in a few words. Rejects when the message cannot be made, or at shutdown. */
  private async attempt(job: JobRecord, index: number): Promise<string> {
    const { url, deliveries } = job.webhook!;
    const { event, at } = deliveries[index];
    const body = JSON.stringify({
      type: event,
      timestamp: new Date(at).toISOString(),
      data: await this.payload.job(job),
    });
    return this.client.post({ id: `${job.id}-${index}`, url, body }, this.stopping.signal);
  }
}
