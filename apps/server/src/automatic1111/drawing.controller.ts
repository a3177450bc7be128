import { Body, Controller, Get, Header, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { defaultSize } from '@app/config';
import { Jobs } from '@app/jobs';
import { RequireScope } from '../auth/scope.decorators';
import { headers } from '../docs/response.headers';
import { ApiErrors } from '../errors/api.errors.dto';
import { DRAWING_ERRORS } from '../errors/error.groups';
import { TakesJson } from '../http/json.body';
import { Drawings } from '../images/drawings';
import { TakesPictureJson } from '../images/picture.json';
import { PictureContext, type RequestContext } from '../images/request.context';
import { JobPresenter } from '../jobs/job.presenter';
import { ModelNames } from '../models/model.names';
import { ChosenModels } from './chosen.models';
import { CurrentJobs } from './current.jobs';
import {
  DrawingReply,
  DrawingRequest,
  EmptyReply,
  Img2ImgRequest,
  Txt2ImgRequest,
  WebUiProgressReply,
} from './drawing.dto';
import { timestamp, toReply } from './drawing.reply';
import { THEIR_NAMES, toEdit, toPicture } from './translation';

@ApiTags('automatic1111')
@Controller('sdapi/v1')
export class DrawingController {
  constructor(
    private readonly models: ModelNames,
    private readonly chosen: ChosenModels,
    private readonly drawings: Drawings,
    private readonly current: CurrentJobs,
    private readonly jobs: Jobs,
    private readonly presenter: JobPresenter,
  ) {}

  /** Pictures from a prompt. Other fields of that server are ignored. */
  @Post('txt2img')
  @HttpCode(200)
  @RequireScope('draw')
  @TakesJson()
  @ApiOkResponse({ type: DrawingReply, description: 'The pictures' })
  @ApiErrors(...DRAWING_ERRORS)
  async txt2img(
    @Body() request: Txt2ImgRequest,
    @PictureContext() call: RequestContext,
  ): Promise<DrawingReply> {
    return this.draw(toPicture(request, ...this.modelOf(request, call)), request, call);
  }

  /** Pictures from a prompt and a picture. Other fields of that server are ignored. */
  @Post('img2img')
  @HttpCode(200)
  @RequireScope('draw')
  @TakesPictureJson()
  @ApiOkResponse({ type: DrawingReply, description: 'The pictures' })
  @ApiErrors(...DRAWING_ERRORS)
  async img2img(
    @Body() request: Img2ImgRequest,
    @PictureContext() call: RequestContext,
  ): Promise<DrawingReply> {
    const body = toEdit(request, ...this.modelOf(request, call));
    const maskRule = { opaque: true, inverted: Boolean(request.inpainting_mask_invert) };
    Object.assign(request, { init_images: undefined, mask: undefined });
    return this.draw(body, request, { ...call, maskRule });
  }

  /** How far the caller's oldest request to these routes is, at this process. */
  @Get('progress')
  @Header('Cache-Control', 'no-store')
  @RequireScope('read')
  @ApiOkResponse({ type: WebUiProgressReply, description: 'The progress', headers: headers('Cache-Control') })
  @ApiErrors('storage_unavailable')
  async webUiProgress(@PictureContext() { account }: RequestContext): Promise<WebUiProgressReply> {
    const { id, count } = this.current.of(account);
    const record = id === undefined ? undefined : await this.jobs.find(id);
    const job = record && (await this.presenter.job(record));
    const { estimated_end_at: end = null, progress = null } = job ?? {};
    return {
      progress: (progress?.percent ?? 0) / 100,
      eta_relative: end === null ? 0 : Math.max(0, end - Math.floor(Date.now() / 1000)),
      state: {
        ...{ skipped: false, interrupted: false, job: id ?? '', job_count: count, job_no: 0 },
        job_timestamp: record ? timestamp(record.createdAt) : '0',
        sampling_step: progress?.step ?? 0,
        sampling_steps: progress?.steps ?? 0,
      },
      current_image: null,
      textinfo: null,
    };
  }

  /** Cancels the caller's oldest request to these routes, at this process; it is answered 409 `cancelled`. */
  @Post('interrupt')
  @HttpCode(200)
  @RequireScope('draw')
  @ApiOkResponse({ type: EmptyReply, description: 'Nothing of it is drawn any more' })
  @ApiErrors('job_not_found', 'storage_unavailable')
  async interrupt(@PictureContext() { account }: RequestContext): Promise<EmptyReply> {
    const { id } = this.current.of(account);
    if (id !== undefined) await this.jobs.cancel(id);
    return {};
  }

  private async draw(body: object, request: DrawingRequest, call: RequestContext): Promise<DrawingReply> {
    const drawing = await this.current.run(call.account, (onAccepted) =>
      this.drawings.draw(body, { ...call, onAccepted }, THEIR_NAMES),
    );
    return toReply(drawing, request, drawing.job.picture.model ?? this.models.own[0]);
  }

  /** Where there is one model, front ends may name another: it is what they last saw elsewhere. */
  private modelOf({ override_settings: settings }: DrawingRequest, { account }: RequestContext) {
    const named = settings?.sd_model_checkpoint ?? this.chosen.of(account);
    const model = this.models.several ? named : undefined;
    return [defaultSize(this.models.choose(model).config), model] as const;
  }
}
