import { applyDecorators } from '@nestjs/common';
import { ApiConsumes, ApiExtension, type OpenAPIObject } from '@nestjs/swagger';

const FORM = 'multipart/form-data';
const NOTE = 'x-form';
const FILE = { type: 'string', contentMediaType: 'application/octet-stream' };

/** The route takes its body as a form, too, with these fields as files; `many` may be lists, as `NAME[]`. */
export const TakesForm = (fields: { readonly one: string[]; readonly many: string[] }) =>
  applyDecorators(ApiConsumes('application/json', FORM), ApiExtension(NOTE, fields));

type Fields = Parameters<typeof TakesForm>[0];

/** Nest has one schema for all types of a body. */
export function describeForms({ paths }: OpenAPIObject): void {
  for (const { post } of Object.values(paths)) {
    const note = post as { [NOTE]?: Fields; requestBody?: { content: Record<string, object> } } | undefined;
    if (!note?.[NOTE]) continue;
    const { one, many } = note[NOTE];
    delete note[NOTE];
    note.requestBody!.content[FORM] = {
      schema: {
        type: 'object',
        description: 'The other fields as in JSON: numbers, booleans, lists and objects as their JSON text',
        properties: Object.fromEntries<object>([
          ...many.flatMap((name): [string, object][] => [
            [name, FILE],
            [`${name}[]`, { type: 'array', items: FILE }],
          ]),
          ...one.map((name): [string, object] => [name, FILE]),
        ]),
        additionalProperties: { type: 'string' },
      },
    };
  }
}
