import { Inject, Injectable, Logger } from '@nestjs/common';
import type { Request, Response } from 'express';
import { ServiceError } from '@app/errors';
import { isFinished, JobEvents, type JobRecord } from '@app/jobs';
import { errorBody } from '../errors/error.body';
import type { PictureOutcome } from '../images/images.service';
import { assertSucceeded } from '../images/picture.answers';
import { STREAM_HEADERS } from '../jobs/event.stream';
import { HEARTBEAT } from '../jobs/event.streams';
import { eventText } from '../jobs/event.text';
import { Metrics } from '../metrics/metrics';
import type { CompletedImageEvent, EventKind, PartialImageEvent } from './image.events.dto';
import { ImagesPresenter } from './images.presenter';
import { NO_TOKENS, outputFormatOf, qualityOf, type CreateImageRequest } from './openai.dto';

/** Has a picture drawn, and calls `onAccepted` once its job is accepted. */
type Draw = (onAccepted: (job: JobRecord) => Promise<void>) => Promise<PictureOutcome>;

/** Replies as streams of OpenAI's events: partial images while a picture is drawn, then the picture or its error. */
@Injectable()
export class ImageStreams {
  private readonly logger = new Logger(ImageStreams.name);

  constructor(
    private readonly events: JobEvents,
    private readonly presenter: ImagesPresenter,
    private readonly metrics: Metrics,
    @Inject(HEARTBEAT) private readonly heartbeat: number,
  ) {}

  /** Throws what goes wrong before the job is accepted: that has a status of its own. */
  async serve(kind: EventKind, request: CreateImageRequest, response: Response, draw: Draw): Promise<void> {
    try {
      const { job } = await draw((accepted) => this.open(kind, request, response, accepted));
      assertSucceeded(job);
      const text = await this.completed(kind, job, request);
      response.end(text);
    } catch (error) {
      if (!response.headersSent) throw error;
      response.end(this.failed(error, response.req));
    }
  }

  private async open(
    kind: EventKind,
    request: CreateImageRequest,
    response: Response,
    job: JobRecord,
  ): Promise<void> {
    response.status(200).set(STREAM_HEADERS);
    await this.sendPartials(kind, request, response, job);
    response.flushHeaders();
    this.metrics.observeStream(response);
    const timer = setInterval(() => response.write(': heartbeat\n\n'), this.heartbeat).unref();
    response.once('close', () => clearInterval(timer));
  }

  private async sendPartials(
    kind: EventKind,
    request: CreateImageRequest,
    response: Response,
    job: JobRecord,
  ): Promise<void> {
    const { partial_images: most = 0 } = request;
    if (most === 0 || isFinished(job)) return;
    try {
      const unsubscribe = await this.follow(job, most, (jpeg, index) => {
        if (response.writable) response.write(partial(kind, jpeg, index, job, request));
      });
      response.once('close', unsubscribe);
      if (response.destroyed) unsubscribe();
    } catch (error) {
      this.logger.warn({ err: error, job: job.id }, 'A picture is drawn without its partial images');
    }
  }

  /** Partial images from places that part the sampling evenly; fewer where the engine made no preview in time. */
  private follow(
    { id, picture }: JobRecord,
    most: number,
    send: (jpeg: string, index: number) => void,
  ): Promise<() => void> {
    let { steps } = picture;
    let sent = 0;
    return this.events.subscribe(
      id,
      (event) => {
        if (event.type === 'progress') steps = event.progress.steps;
        if (event.type !== 'preview' || sent === most) return;
        if (event.preview.step * (most + 1) >= (sent + 1) * steps) send(event.preview.jpeg, sent++);
      },
      { previews: true },
    );
  }

  private async completed(kind: EventKind, job: JobRecord, request: CreateImageRequest): Promise<string> {
    const { data } = await this.presenter.images(job, request, 'b64_json');
    const event: CompletedImageEvent = {
      type: `${kind}.completed`,
      b64_json: data[0].b64_json!,
      ...facts(job, request),
      output_format: outputFormatOf(job),
      usage: NO_TOKENS,
    };
    return eventText(event.type, event);
  }

  /** Clients raise it by the event's name, or by `error` in its data. */
  private failed(thrown: unknown, { id }: Request): string {
    if (thrown instanceof ServiceError) return eventText('error', errorBody(thrown, id as string));
    this.logger.error({ err: thrown }, 'A stream ended in a defect');
    const sentence = 'The service failed in an unexpected way; its log says why';
    return eventText('error', errorBody(new ServiceError('internal_error', sentence), id as string));
  }
}

function partial(
  kind: EventKind,
  jpeg: string,
  index: number,
  job: JobRecord,
  request: CreateImageRequest,
): string {
  const event: PartialImageEvent = {
    type: `${kind}.partial_image`,
    b64_json: jpeg,
    partial_image_index: index,
    ...facts(job, request),
    output_format: 'jpeg',
  };
  return eventText(event.type, event);
}

const facts = ({ picture }: JobRecord, request: CreateImageRequest) => ({
  size: `${picture.width}x${picture.height}`,
  quality: qualityOf(request) ?? 'auto',
  background: 'opaque' as const,
  created_at: Math.floor(Date.now() / 1000),
});
