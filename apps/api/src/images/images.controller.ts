import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { ApiErrors } from '../api.errors.dto';
import { CallerSignal } from './caller.signal';
import { GenerationRequest, MemoryRequest, PictureReply, SubjectRequest } from './images.dto';
import { ImagesService } from './images.service';

// HttpCode is repeated on each route: there the swagger plugin finds it.
const MakesPicture = (...missing: ('avatar_not_found' | 'photo_not_found')[]) =>
  ApiErrors(
    'invalid_request',
    ...missing,
    'lora_not_found',
    'cancelled',
    'payload_too_large',
    'unsupported_picture',
    'ip_adapter_disabled',
    'lora_disabled',
    'lora_not_applied',
    'generation_failed',
    'out_of_memory',
    'queue_full',
    'engine_not_ready',
    'engine_crashed',
    'storage_unavailable',
    'draining',
  );

@ApiTags('images')
@Controller('v1/images')
export class ImagesController {
  constructor(private readonly images: ImagesService) {}

  /** A picture from a prompt and the user's avatar. */
  @Post('memory')
  @HttpCode(200)
  @MakesPicture('avatar_not_found')
  memory(@Body() request: MemoryRequest, @CallerSignal() caller: AbortSignal): Promise<PictureReply> {
    return this.images.memory(request, caller);
  }

  /** A portrait from the user's photo; the prompt is the service's SUBJECT_PROMPT. */
  @Post('subject')
  @HttpCode(200)
  @MakesPicture('photo_not_found')
  subject(@Body() request: SubjectRequest, @CallerSignal() caller: AbortSignal): Promise<PictureReply> {
    return this.images.subject(request, caller);
  }

  /** A picture from a prompt, on request drawn from a picture at an address. */
  @Post('generations')
  @HttpCode(200)
  @MakesPicture()
  generations(
    @Body() request: GenerationRequest,
    @CallerSignal() caller: AbortSignal,
  ): Promise<PictureReply> {
    return this.images.generations(request, caller);
  }
}
