import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Capabilities } from '@app/jobs';
import { EMBEDDING_WIDTHS } from '@app/models/family';
import { SAMPLERS, SCHEDULERS } from '@app/models';
import { HIRES_UPSCALERS, MAX_HIRES_SCALE } from '@app/models/family';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { TakesJson } from '../http/json.body';
import { PictureContext, type RequestContext } from '../images/request.context';
import { ModelNames } from '../models/model.names';
import { describeValue } from '../validation/describe.value';
import { ChosenModels } from './chosen.models';
import { WebUiEmbeddings } from './embeddings.dto';
import { EmptyReply } from './drawing.dto';
import {
  WebUiLora,
  WebUiModel,
  WebUiName,
  WebUiOptions,
  WebUiOptionsReply,
  WebUiSampler,
  WebUiScheduler,
  WebUiUpscaler,
  WebUiVae,
} from './settings.dto';

const ofLatents = (name: string) => name.startsWith('Latent');

/** What front ends look up before they ask for pictures. */
@ApiTags('automatic1111')
@Controller('sdapi/v1')
export class SettingsController {
  constructor(
    private readonly config: Config,
    private readonly capabilities: Capabilities,
    private readonly models: ModelNames,
    private readonly chosen: ChosenModels,
  ) {}

  /** The settings that front ends read. */
  @Get('options')
  @RequireScope('read')
  @ApiOkResponse({ type: WebUiOptionsReply, description: 'The settings' })
  @ApiErrors()
  getOptions(@PictureContext() { account }: RequestContext): WebUiOptionsReply {
    const model = this.chosen.of(account) ?? this.models.own[0];
    return { sd_model_checkpoint: model, sd_vae: 'Automatic', samples_format: 'png' };
  }

  /** Chooses the model of the caller's requests that name none, at this process. Everything else is ignored. */
  @Post('options')
  @HttpCode(200)
  @RequireScope('draw')
  @TakesJson()
  @ApiOkResponse({ type: EmptyReply, description: 'It is the model' })
  @ApiErrors('invalid_request', 'request_timeout', 'cancelled', 'payload_too_large')
  setOptions(
    @Body() { sd_model_checkpoint: name }: WebUiOptions,
    @PictureContext() { account }: RequestContext,
  ): EmptyReply {
    if (name === undefined) return {};
    const { several, own } = this.models;
    const names = several ? this.models.list().map(({ id }) => id) : own;
    if (!names.includes(name)) {
      const what = several ? 'a model that there is,' : 'the model there is,';
      const sentence = `Expected ${names.join(' or ')}, ${what} for sd_model_checkpoint but received ${describeValue(name)}`;
      throw new ServiceError('invalid_request', sentence, 'sd_model_checkpoint');
    }
    this.chosen.choose(account, name);
    return {};
  }

  /** The models. */
  @Get('sd-models')
  @RequireScope('read')
  @ApiOkResponse({ type: [WebUiModel], description: 'The models' })
  @ApiErrors()
  listWebUiModels(): WebUiModel[] {
    return this.models.own.map((model) => {
      const names = { title: model, model_name: model, filename: model };
      return { ...names, hash: null, sha256: null, config: null };
    });
  }

  /** The samplers, by the names that they have there. */
  @Get('samplers')
  @RequireScope('read')
  @ApiOkResponse({ type: [WebUiSampler], description: 'The samplers' })
  @ApiErrors()
  listSamplers(): WebUiSampler[] {
    return Object.entries(SAMPLERS).map(([own, [name = own, ...others]]) => ({
      ...{ name, aliases: [own, ...others], options: {} },
    }));
  }

  /** The schedulers. */
  @Get('schedulers')
  @RequireScope('read')
  @ApiOkResponse({ type: [WebUiScheduler], description: 'The schedulers' })
  @ApiErrors()
  listSchedulers(): WebUiScheduler[] {
    return Object.entries({ automatic: ['Automatic'], ...SCHEDULERS }).map(
      ([name, [label = name, ...aliases]]) => ({
        ...{ name, label, aliases, default_rho: -1, need_inner_model: false },
      }),
    );
  }

  /** The LoRAs that prompts can name; none where they are disabled. */
  @Get('loras')
  @RequireScope('read')
  @ApiOkResponse({ type: [WebUiLora], description: 'The LoRAs' })
  @ApiErrors('storage_unavailable')
  async listWebUiLoras(): Promise<WebUiLora[]> {
    const loras = this.config.ENABLE_LORA ? await this.capabilities.loras() : [];
    return loras.map(({ name }) => ({ name, alias: name, path: '', metadata: {} }));
  }

  /** The embeddings, by the words of prompts that stand for them. */
  @Get('embeddings')
  @RequireScope('read')
  @ApiOkResponse({ type: WebUiEmbeddings, description: 'The embeddings' })
  @ApiErrors()
  listWebUiEmbeddings(): WebUiEmbeddings {
    const unknown = { step: null, sd_checkpoint: null, sd_checkpoint_name: null };
    const loaded = this.capabilities.embeddings.map(
      ({ name, vectors }) => [name, { ...unknown, shape: EMBEDDING_WIDTHS[1], vectors }] as const,
    );
    return { loaded: Object.fromEntries(loaded), skipped: {} };
  }

  /** The upscalers of pixels. */
  @Get('upscalers')
  @RequireScope('read')
  @ApiOkResponse({ type: [WebUiUpscaler], description: 'The upscalers' })
  @ApiErrors('storage_unavailable')
  async listWebUiUpscalers(): Promise<WebUiUpscaler[]> {
    const models = await this.capabilities.upscalers();
    const plain = HIRES_UPSCALERS.filter((name) => !ofLatents(name));
    return [
      { name: 'None', factor: 1 },
      ...plain.map((name) => ({ name, factor: MAX_HIRES_SCALE })),
      ...models,
    ].map(({ name, factor }) => ({
      name,
      model_name: null,
      model_path: null,
      model_url: null,
      scale: factor,
    }));
  }

  /** The upscalers of latents. */
  @Get('latent-upscale-modes')
  @RequireScope('read')
  @ApiOkResponse({ type: [WebUiName], description: 'The upscalers' })
  @ApiErrors()
  listLatentUpscaleModes(): WebUiName[] {
    return HIRES_UPSCALERS.filter(ofLatents).map((name) => ({ name }));
  }

  /** VAEs to choose from: none. */
  @Get('sd-vae')
  @RequireScope('read')
  @ApiOkResponse({ type: [WebUiVae], description: 'The VAEs' })
  @ApiErrors()
  listVaes(): WebUiVae[] {
    return [];
  }
}
