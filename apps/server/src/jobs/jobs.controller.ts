import {
  Controller,
  Delete,
  Get,
  Header,
  Param,
  Query,
  Req,
  Res,
  applyDecorators,
  type PipeTransform,
} from '@nestjs/common';
import {
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { ServiceError } from '@app/errors';
import { Jobs } from '@app/jobs';
import { assertOwn, CallerKey, type ApiKey } from '../auth/api.key';
import { OrSigned, RequireScope } from '../auth/scope.decorators';
import { headers } from '../docs/response.headers';
import { ApiErrors } from '../errors/api.errors.dto';
import { JOB_ERRORS, LOOKUP_ERRORS } from '../errors/error.groups';
import { eventsOf, Links } from '../results/links';
import { describeValue } from '../validation/describe.value';
import { JOB_EVENT } from './event.schema';
import { STREAM_HEADERS } from './event.stream';
import { EventStreams } from './event.streams';
import { JobPresenter } from './job.presenter';
import { readCursor, writeCursor } from './jobs.cursor';
import { DEFAULT_PAGE, JobEventsRequest, JobReply, JobsReply, JobsRequest } from './jobs.dto';

const ID = /^[0-9a-f]{24}$/;

/** What cannot be an id names no job: 404, as for ids that nobody has. */
const idOfJob: PipeTransform<string, string> = {
  transform(id) {
    if (ID.test(id)) return id;
    const sentence = `There is no job ${describeValue(id)}: the id of a job is 24 hexadecimal digits`;
    throw new ServiceError('job_not_found', sentence);
  },
};

const OfJob = () =>
  ApiParam({ name: 'id', description: 'The id of the job', schema: { type: 'string', pattern: ID.source } });

const NotStored = () => Header('Cache-Control', 'no-store');

const EVENTS = `A \`text/event-stream\` (server-sent events). \`data\` is always one line of JSON.

| event | data | when |
|---|---|---|
| \`state\` | \`{state, attempts}\` | the job's state, at once and whenever it changes |
| \`progress\` | \`{phase, step, steps, percent}\` | while it runs; fields as in the job |
| \`preview\` | \`{step, width, height, jpeg}\` | with \`previews=true\`: a small picture of how far the sampling is, JPEG in base64 |
| \`result\` | the reply of the picture route | once, after the state \`succeeded\`; then the stream ends |
| \`error\` | \`{message, type, param, code}\` | once, after any other last state; then the stream ends |
| \`closing\` | \`{}\` | the service shuts down before the job is done, or the key was taken away, and the stream ends; ask again, with Last-Event-ID |

\`state\` and \`progress\` have an \`id\`. A client that comes back with the last one as \`Last-Event-ID\` gets what it
missed; with another one, or none, everything that is kept of the job. A state without an \`id\` comes from the job's
record. A comment comes every 15 seconds. A client that reads too slowly loses \`progress\` and \`preview\`, never
\`state\`, \`result\` and \`error\`; one that does not read at all is disconnected.`;

const StreamsEvents = () =>
  applyDecorators(
    ApiOperation({ description: EVENTS }),
    ApiHeader({
      name: 'Last-Event-ID',
      required: false,
      description: 'The `id` of the last event that came; browsers send it by themselves',
      schema: { type: 'string', example: '1767225600000-3' },
    }),
    ApiOkResponse({
      description: 'The events',
      headers: headers('Cache-Control'),
      content: { 'text/event-stream': { schema: JOB_EVENT, example: EXAMPLE } },
    }),
    ApiResponse({
      status: 204,
      description: 'Last-Event-ID is that of `result` or `error`: nothing follows',
    }),
  );

const EXAMPLE = `retry: 3000

id: 1767225600000-0
event: state
data: {"state":"running","attempts":1}

id: 1767225601000-0
event: progress
data: {"phase":"sampling","step":18,"steps":50,"percent":36}

`;

@ApiTags('jobs')
@Controller('v1/jobs')
export class JobsController {
  constructor(
    private readonly jobs: Jobs,
    private readonly presenter: JobPresenter,
    private readonly streams: EventStreams,
    private readonly links: Links,
  ) {}

  /** Jobs, newest first. Finished ones are forgotten after the service's JOB_TTL. */
  @Get()
  @RequireScope('read')
  @NotStored()
  @ApiOkResponse({ type: JobsReply, description: 'A page of jobs', headers: headers('Cache-Control') })
  @ApiErrors(...LOOKUP_ERRORS)
  async listJobs(@Query() request: JobsRequest, @CallerKey() access?: ApiKey): Promise<JobsReply> {
    assertOwn(access, request.user_id, 'user_id');
    const { user_id: userId = access?.userId, state, route, limit = DEFAULT_PAGE, cursor } = request;
    const before = readCursor(cursor);
    const { jobs, next } = await this.jobs.list({ userId, state, route, limit, before });
    return {
      object: 'list',
      data: await Promise.all(jobs.map((job) => this.presenter.job(job))),
      has_more: next !== undefined,
      next_cursor: next === undefined ? null : writeCursor(next),
    };
  }

  /** A job: its state, how far it is, and what came of it. */
  @Get(':id')
  @RequireScope('read')
  @OfJob()
  @NotStored()
  @ApiOkResponse({ type: JobReply, description: 'The job as it is now', headers: headers('Cache-Control') })
  @ApiErrors(...JOB_ERRORS)
  async getJob(@Param('id', idOfJob) id: string, @CallerKey() access?: ApiKey): Promise<JobReply> {
    return this.presenter.job(await this.jobs.get(id, access?.userId));
  }

  /**
   * Cancels a job that waits or runs: its record stays, and a second call gets it again (200). A job that ended in another
   * way is removed, with its picture and the webhooks that still wait (204).
   */
  @Delete(':id')
  @RequireScope('draw')
  @OfJob()
  @NotStored()
  @ApiOkResponse({ type: JobReply, description: 'The job, cancelled', headers: headers('Cache-Control') })
  @ApiNoContentResponse({ description: 'The job had ended: it and its picture are removed' })
  @ApiErrors(...JOB_ERRORS)
  async cancelJob(
    @Param('id', idOfJob) id: string,
    @Res({ passthrough: true }) response: Response,
    @CallerKey() access?: ApiKey,
  ): Promise<JobReply | undefined> {
    if (access?.userId !== undefined) await this.jobs.get(id, access.userId);
    const job = await this.jobs.cancel(id);
    if (job.state === 'cancelled') return this.presenter.job(job);
    await this.jobs.discard(job);
    response.status(204);
    return undefined;
  }

  /** Follows a job by its events, until it ends. Where callers need keys: with one, or by a job's `events_url`. */
  @Get(':id/events')
  @RequireScope('read')
  @OrSigned()
  @OfJob()
  @StreamsEvents()
  @ApiErrors(...JOB_ERRORS)
  async followJob(
    @Param('id', idOfJob) id: string,
    @Query() { previews }: JobEventsRequest,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const { userId, revoked } = this.links.admit(eventsOf(id), request).access ?? {};
    if (request.method === 'HEAD') {
      await this.jobs.get(id, userId);
      response.set(STREAM_HEADERS).end();
      return;
    }
    await this.streams.serve(
      id,
      { after: request.get('Last-Event-ID'), previews, userId, revoked },
      response,
    );
  }
}
