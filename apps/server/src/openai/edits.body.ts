import { Injectable, UseInterceptors, type CallHandler, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';
import type { Observable } from 'rxjs';
import { callerOf } from '../auth/account';
import { FormParser } from '../http/form.parser';
import { HttpLimits } from '../http/http.limits';
import { LargeBodies } from '../http/large.bodies';
import { PictureJson } from '../images/picture.json';
import { MOST_IMAGES } from './edits.dto';

/** Texts that may look like anything: a number in them is none. */
const TEXTS = new Set(['prompt', 'negative_prompt', 'user', 'safety_identifier', 'model']);

/** JSON, or a form as OpenAI's clients send it. */
@Injectable()
export class EditsBody extends PictureJson {
  constructor(
    limits: HttpLimits,
    private readonly large: LargeBodies,
  ) {
    super(limits, large);
  }

  override async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<Request>();
    if (!request.is('multipart/form-data')) return super.intercept(context, next);
    const fields = await this.form(request, context.switchToHttp().getResponse<Response>());
    request.body = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, TEXTS.has(name) ? value : meant(value)]),
    );
    return next.handle();
  }

  private async form(request: Request, response: Response): Promise<Record<string, unknown>> {
    const { formParts: parts, formTextBytes: textBytes, pictureBytes: fileBytes } = this.limits;
    const files = { image: MOST_IMAGES, mask: 1 };
    const form = new FormParser(request.headers['content-type']!, { parts, textBytes, fileBytes, files });
    try {
      await this.large.parse(request, response, callerOf(request).name, (chunk) => form.write(chunk));
      return await form.end();
    } finally {
      form.cancel();
    }
  }
}

export const TakesEdit = () => UseInterceptors(EditsBody);

/** Forms know texts alone: numbers, true and false, lists and objects come as JSON has them. Nothing is not given. */
function meant(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(meant);
  if (typeof value !== 'string') return value;
  if (value === '') return null;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}
