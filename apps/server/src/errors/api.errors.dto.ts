import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import { ERRORS, type ErrorCode, type ErrorRule } from '@app/errors';

export class ErrorDetail {
  /**
   * For people: what was expected and what came.
   * @example "Expected a whole number from 1 to 150 for num_inference_steps but received 0"
   */
  readonly message!: string;

  /** The family of the code. */
  readonly type!: ErrorRule['type'];

  /**
   * The request field to blame, where there is one; nested fields as `loras.0.scale`.
   * @example "num_inference_steps"
   */
  readonly param!: string | null;

  /**
   * For programs.
   * @example "invalid_request"
   */
  readonly code!: string;
}

/** Permanent errors carry `x-should-retry: false`, transient ones `Retry-After`. */
export class ErrorReply {
  /** What went wrong. */
  readonly error!: ErrorDetail;

  /**
   * The id of the request, as in the header `x-request-id` and in the service's log.
   * @example "5f0c6d0e-6a0b-4c39-9c0f-0d8a5a0d3a55"
   */
  readonly request_id!: string;
}

const shown = (code: ErrorCode): string => (ERRORS[code] as ErrorRule).shownAs ?? code;

/** What every route but health is answered with when too much is asked. */
export const BOUND_ERRORS = ['rate_limited', 'too_many_connections', 'connections_full'] as const;

/** Documents the errors of a route by code, and those that every route has for which a key is needed. */
export const ApiErrors = (...codes: ErrorCode[]) =>
  ApiErrorsWithoutKey(...codes, ...BOUND_ERRORS, 'unauthorized', 'forbidden');

/** The same for a route that takes no key. One response per status, made from the ERRORS table. */
export function ApiErrorsWithoutKey(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set<ErrorCode>([...codes, 'misdirected_request', 'internal_error'])) {
    const { status } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const responses = [...byStatus].map(([status, group]) => {
    const { retry }: ErrorRule = ERRORS[group[0]];
    return ApiResponse({
      status,
      description: group.map((code) => `\`${shown(code)}\`: ${ERRORS[code].meaning}`).join('; '),
      headers: retry
        ? { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer', minimum: 1 } } }
        : { 'x-should-retry': { description: 'A retry cannot help', schema: { enum: ['false'] } } },
      content: {
        'application/json': {
          schema: { $ref: getSchemaPath(ErrorReply) },
          examples: Object.fromEntries(
            group.map((code) => [
              shown(code),
              {
                value: {
                  error: {
                    message: ERRORS[code].meaning,
                    type: ERRORS[code].type,
                    param: null,
                    code: shown(code),
                  },
                  request_id: '5f0c6d0e-6a0b-4c39-9c0f-0d8a5a0d3a55',
                },
              },
            ]),
          ),
        },
      },
    });
  });
  return applyDecorators(ApiExtraModels(ErrorReply), ...responses);
}
