import { applyDecorators } from '@nestjs/common';
import { ApiConsumes, ApiExtension, type OpenAPIObject } from '@nestjs/swagger';

const FORM = 'multipart/form-data';
const NOTE = 'x-form';
const JSON_TEXT = { type: 'string', contentMediaType: 'application/json' };
const FILE = { type: 'string', contentMediaType: 'application/octet-stream' };

/** The route takes its body as a form, too, with these fields as files; `many` may be lists, as `NAME[]`. */
export const TakesForm = (fields: { readonly one: string[]; readonly many: string[] }) =>
  applyDecorators(ApiConsumes('application/json', FORM), ApiExtension(NOTE, fields));

type Fields = Parameters<typeof TakesForm>[0];

type Schema = {
  [key: string]: unknown;
  type?: string;
  enum?: unknown[];
  properties?: Record<string, Schema>;
};

/** Nest has one schema for all types of a body. */
export function describeForms({ paths, components }: OpenAPIObject): void {
  for (const { post } of Object.values(paths)) {
    const note = post as { [NOTE]?: Fields; requestBody?: { content: Content } } | undefined;
    if (!note?.[NOTE]) continue;
    const { one, many } = note[NOTE];
    delete note[NOTE];
    const { content } = note.requestBody!;
    const name = content['application/json'].schema.$ref.split('/').at(-1)!;
    const { properties = {}, required } = components!.schemas![name] as Schema;
    const files = [
      ...many.flatMap((field): [string, object][] => [
        [field, FILE],
        [`${field}[]`, { type: 'array', items: FILE }],
      ]),
      ...one.map((field): [string, object] => [field, FILE]),
    ];
    content[FORM] = {
      schema: {
        type: 'object',
        description:
          'The other fields as in JSON: numbers and booleans as text, lists and objects as their JSON text',
        properties: { ...inForm(properties), ...Object.fromEntries(files) },
        required,
        additionalProperties: false,
      },
    };
  }
}

type Content = Record<string, { schema: object }> & { 'application/json': { schema: { $ref: string } } };

/** A form has no null: what can be nothing else is left out. */
function inForm(properties: Record<string, Schema>): Record<string, object> {
  const fields = Object.entries(properties).map(([name, schema]): [string, object] => {
    const field: Schema = { ...schema };
    delete field.nullable;
    if (!['string', 'integer', 'number', 'boolean'].includes(field.type ?? '')) return [name, JSON_TEXT];
    return [name, field.enum ? { ...field, enum: field.enum.filter((value) => value !== null) } : field];
  });
  return Object.fromEntries(
    fields.filter(([, field]) => !('enum' in field) || (field.enum as []).length > 0),
  );
}
