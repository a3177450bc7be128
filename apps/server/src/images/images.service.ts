import { createHash } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { Config } from '@app/config';
import { Drain } from '@app/lifecycle';
import { isFinished, Jobs, keysOf, resultGone, type JobRecord } from '@app/jobs';
import { DiskSpace, Storage } from '@app/storage';
import { assertOwn } from '../auth/api.key';
import { OpenRequests } from '../http/open.requests';
import { requestScope } from '../http/request.scope';
import { isUserId } from '../validation/fields';
import { WebhookAddress } from '../webhooks/webhook.address';
import { JobDrafter } from './job.draft';
import type { PictureIntent } from './picture.intent';
import type { GenerationRequest, PictureOptions } from './images.dto';
import { applyLoraTags } from './lora.tags';
import type { RequestContext } from './request.context';
import { promptOf, Styles } from './styles';
import type { MemoryRequest, SubjectRequest } from './user.images.dto';

/** What became of a picture request until the caller wanted to know. */
export interface PictureOutcome {
  /** Not finished when the caller did not want to wait longer. */
  readonly job: JobRecord;
  /** The Idempotency-Key had its job already. */
  readonly replayed: boolean;
  /** The preference of the caller that was followed, as Preference-Applied names it. */
  readonly preference?: string;
}

/** Rules of the picture routes: request -> job -> the wait for it. Checks that are cheap and final come first. */
@Injectable()
export class ImagesService {
  private readonly logger = new Logger(ImagesService.name);

  constructor(
    private readonly config: Config,
    private readonly jobs: Jobs,
    private readonly drafter: JobDrafter,
    private readonly styles: Styles,
    private readonly disk: DiskSpace,
    private readonly storage: Storage,
    private readonly webhooks: WebhookAddress,
    private readonly live: OpenRequests,
    private readonly drain: Drain,
  ) {}

  async memory(body: MemoryRequest, call: RequestContext): Promise<PictureOutcome> {
    const request = await this.read(body);
    const look = this.styles.find('memory', request.style);
    const prompt = promptOf(look.prompt, request.prompt);
    const userId = request.user_id;
    const reference = { of: 'avatar', userId } as const;
    const own = { identity: request, choice: request };
    return this.make(request, { route: 'memory', userId, prompt, look, ...own, reference }, call);
  }

  async subject(request: SubjectRequest, call: RequestContext): Promise<PictureOutcome> {
    const look = this.styles.find('subject', request.style);
    const prompt = promptOf(look.prompt);
    const userId = request.user_id;
    const reference = { of: 'photo', userId } as const;
    const own = { identity: request, choice: request };
    return this.make(request, { route: 'subject', userId, prompt, look, ...own, reference }, call);
  }

  async generations(body: GenerationRequest, call: RequestContext): Promise<PictureOutcome> {
    const request = await this.read(body);
    const { prompt, user, reference_image_url: url } = request;
    assertOwn(call.apiKey, user, 'user');
    // The picture of a key that is bound to a user is that user's; else that of `user`, if this can be one.
    const userId = call.apiKey?.userId ?? (isUserId(user) ? user : undefined);
    const reference = url === undefined ? undefined : { url };
    const { maskRule } = call;
    return this.make(request, { route: 'generations', userId, prompt, user, reference, maskRule }, call);
  }

  private async read<T extends GenerationRequest | MemoryRequest>(request: T): Promise<T> {
    return this.config.LORA_TAGS ? applyLoraTags(request) : request;
  }

  private async make(
    options: PictureOptions,
    intent: PictureIntent,
    call: RequestContext,
  ): Promise<PictureOutcome> {
    assertOwn(call.apiKey, intent.userId, 'user_id');
    // Of the request, not of its job: a reference picture may take its time.
    const seconds = patience(call, this.config.MAX_WAIT);
    const timeout = seconds === undefined ? undefined : AbortSignal.timeout(seconds * 1000);
    this.drain.assertAccepting();
    return this.live.run(intent.userId, call.signal, async (signal) => {
      const { job, replayed } = await this.submit(options, intent, call, signal);
      // The wait may be long, and pictures that came with the request large.
      Object.assign(options, {
        ...{ image: undefined, mask: undefined, control: undefined },
        reference_image_url: undefined,
      });
      Object.assign(intent, { reference: undefined });
      call.forgetBody();
      await call.onAccepted?.(job);
      if (seconds === 0) return { job, replayed, preference: 'respond-async' };
      const finished = await this.wait(job, timeout, call, signal);
      return { job: finished, replayed, ...(seconds !== undefined && { preference: `wait=${seconds}` }) };
    });
  }

  private async submit(
    options: PictureOptions,
    intent: PictureIntent,
    call: RequestContext,
    signal: AbortSignal,
  ) {
    const named = intent.userId ?? intent.user;
    const caller = named ?? unnamed(call);
    const idempotency = call.idempotencyKey && {
      key: call.apiKey ? `${call.apiKey.name}:${call.idempotencyKey}` : call.idempotencyKey,
      fingerprint: fingerprint(intent, options),
    };
    const drafter = this.drafter.for(options.model);
    drafter.check(options, intent);
    if (options.webhook_url !== undefined) await this.webhooks.check(options.webhook_url);
    const known =
      idempotency && (await this.jobs.findByKey(caller, idempotency.key, idempotency.fingerprint));
    if (known) {
      await this.assertKept(known);
      return { job: known, replayed: true };
    }

    drafter.assertAccepting();
    await this.disk.assertEnough();
    await this.jobs.assertRoom(call.account);
    const draft = await drafter.draft(options, intent, caller, { caller: call.account, signal });
    const bounded = named !== undefined;
    try {
      const { account } = call;
      const { trace } = requestScope.getStore() ?? {};
      const job = { ...draft, account, ...(idempotency && { idempotency }), ...(trace && { trace }) };
      const submitted = await this.jobs.submit(job, bounded);
      if (submitted.replayed) await drafter.discard(draft);
      else if (this.config.LOG_PROMPTS) this.logPrompts(submitted.job);
      return submitted;
    } catch (error) {
      await drafter.discard(draft);
      throw error;
    }
  }

  /** RESULT_TTL, a caller, or somebody in the bucket may have deleted an image of a job that is still known. */
  private async assertKept({ result, picture }: JobRecord): Promise<void> {
    if (!result) return;
    for (const key of keysOf(picture, result.tries ?? 1)) {
      const image = await this.storage.open(key);
      image?.body.destroy();
      if (!image) throw resultGone();
    }
  }

  private logPrompts({ id, picture }: JobRecord): void {
    const { prompt, negativePrompt } = picture;
    this.logger.log({ job: id, prompt, negative_prompt: negativePrompt }, 'A job is accepted');
  }

  /** The job as it is when it is finished, or when `timeout` is over: the caller's, or this process's. */
  private async wait(
    job: JobRecord,
    timeout: AbortSignal | undefined,
    call: RequestContext,
    signal: AbortSignal,
  ): Promise<JobRecord> {
    if (isFinished(job)) return job;
    try {
      return await this.jobs.finished(job.id, timeout ? AbortSignal.any([signal, timeout]) : signal);
    } catch (error) {
      const { aborted: left } = call.signal;
      const { aborted: drains } = this.drain.turningAway;
      // Who set a time takes the job for an answer.
      if (!left && timeout && (timeout.aborted || drains)) return this.jobs.get(job.id);
      // Without a key nobody else can have the reply: the picture would be drawn for nobody.
      const forNobody =
        (signal.aborted || drains) && !call.idempotencyKey && this.config.CANCEL_ON_DISCONNECT;
      if (forNobody) {
        const why = left
          ? 'The client closed the connection'
          : 'The service shut down, and asked the client to retry';
        await this.jobs.cancel(job.id, why).catch(() => {});
      }
      throw error;
    }
  }
}

/** Whoever does not say for whom it is, is one caller of its account. */
const unnamed = ({ apiKey }: RequestContext): string => (apiKey ? `key:${apiKey.name}` : '');

/** Seconds that the caller waits at most: 0 not at all, undefined as long as it takes. */
function patience({ prefer }: RequestContext, longest: number): number | undefined {
  if (prefer.wait !== undefined) return Math.min(prefer.wait, longest);
  return prefer.respondAsync ? 0 : undefined;
}

/** The same for the same request, however its fields are ordered. */
function fingerprint({ route, maskRule }: PictureIntent, options: PictureOptions): string {
  const { image, mask, control, reference_image_url: reference }: Partial<GenerationRequest> = options;
  const pictures = {
    image: hash(image),
    mask: hash(mask),
    control: control && { ...control, image: hash(control.image) },
    reference_image_url: typeof reference === 'string' ? reference : hash(reference),
  };
  const sorted = (_key: string, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return createHash('sha256')
    .update(`${route}\n${JSON.stringify({ ...options, ...pictures, maskRule }, sorted)}`)
    .digest('hex');
}

const hash = (picture?: string | Buffer): string | undefined =>
  picture === undefined ? undefined : createHash('sha256').update(picture).digest('hex');
