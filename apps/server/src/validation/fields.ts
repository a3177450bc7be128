import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional, type ApiPropertyOptions } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { IsString, Matches, ValidateBy, ValidateIf } from 'class-validator';
import { parseSize } from '@app/config';

/*
 * One decorator per kind of field. Each holds the rule twice: for the validator, where the message is what was
 * expected (the pipe adds the rest), and for the API document.
 */

const WhenGiven = () => ValidateIf((_object, value) => value !== undefined);

/** The field may be left out. `null` is the same: clients that serialise unset fields send it. */
export const Optional = () =>
  applyDecorators(
    ApiPropertyOptional({ nullable: true }),
    Transform(({ value }: { value: unknown }) => value ?? undefined),
    WhenGiven(),
  );

/** The same in a query string, which knows no `null`. */
export const OptionalText = () => applyDecorators(ApiPropertyOptional(), WhenGiven());

/** `expected`: in words, which may depend on what was received. */
export const rule = (
  name: string,
  expected: string | ((value: unknown) => string),
  validate: (value: unknown) => boolean,
) =>
  ValidateBy({
    name,
    validator: {
      validate,
      defaultMessage: (fault) => (typeof expected === 'string' ? expected : expected(fault?.value)),
    },
  });

export const field = (options: ApiPropertyOptions, ...decorators: PropertyDecorator[]) =>
  applyDecorators(ApiProperty(options), ...decorators);

/** A JSON number without a fraction. */
export const Whole = (minimum: number, maximum: number, options: ApiPropertyOptions = {}) =>
  field(
    { type: 'integer', minimum, maximum, ...options },
    rule(
      'whole',
      `a whole number from ${minimum} to ${maximum}`,
      (value) => Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum,
    ),
  );

/** A whole number in a query string. */
export const WholeText = (minimum: number, maximum: number, options: ApiPropertyOptions = {}) =>
  applyDecorators(
    Whole(minimum, maximum, options),
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value,
    ),
  );

/** A JSON boolean. */
export const Flag = (options: ApiPropertyOptions = {}) =>
  field(
    { type: 'boolean', ...options },
    rule('flag', 'true or false', (value) => typeof value === 'boolean'),
  );

/** `true` or `false` in a query string. */
export const FlagText = (options: ApiPropertyOptions = {}) =>
  applyDecorators(
    Flag(options),
    Transform(({ value }: { value: unknown }) =>
      value === 'true' || value === 'false' ? value === 'true' : value,
    ),
  );

/** One of a few words. */
export const OneOf = (words: readonly string[], options: ApiPropertyOptions = {}) =>
  field(
    { type: 'string', enum: [...words], ...options },
    rule('oneOf', `one of ${words.join(', ')}`, (value) => words.includes(value as string)),
  );

/** A JSON number. */
export const Decimal = (minimum: number, maximum: number, options: ApiPropertyOptions = {}) =>
  field(
    { type: 'number', format: 'double', minimum, maximum, ...options },
    rule(
      'decimal',
      `a number from ${minimum} to ${maximum}`,
      (value) => typeof value === 'number' && value >= minimum && value <= maximum,
    ),
  );

/** Characters as people count them: a surrogate pair is one. MAX_PROMPT_LENGTH may bound them further. */
export const MAX_PROMPT = 32_000;
/**
 * Control characters but tab, line feed and carriage return, as they come with texts from Word; and what words of embeddings
 * are marked with.
 */
const BLANKS = '\\u0001-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f\\ue000\\ue001';
const BLANK = new RegExp(`[${BLANKS}]`, 'g');
/** A NUL would end the engine's C string early, and half of a surrogate pair is no character. */
const UNREADABLE = new RegExp('\\u0000|\\p{Surrogate}', 'u');

const Blanked = () =>
  Transform(({ value }: { value: unknown }) =>
    typeof value === 'string' ? value.replace(BLANK, ' ') : value,
  );

/** With the place of what cannot be read: editors do not show it. */
const textOf = (length: string) => (value: unknown) => {
  const found = typeof value === 'string' ? UNREADABLE.exec(value) : null;
  if (!found) return `${length} characters of text`;
  const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  const place = [...found.input.slice(0, found.index)].length + 1;
  return `${length} characters of text without U+${code}, which is character ${place},`;
};

function isText(value: unknown, least: number): boolean {
  if (typeof value !== 'string' || UNREADABLE.test(value)) return false;
  const length = [...value].length;
  return length >= least && length <= MAX_PROMPT && (least === 0 || value.trim() !== '');
}

// String.prototype.isWellFormed is in Node 20 but not in lib ES2023.
const isWellFormed = (text: string) => (text as string & { isWellFormed(): boolean }).isWellFormed();

/** What to draw. */
export const Prompt = (options: ApiPropertyOptions = {}) =>
  field(
    {
      ...{ type: 'string', minLength: 1, maxLength: MAX_PROMPT },
      pattern: `^[^\\u0000]*[^\\s\\u0000${BLANKS}][^\\u0000]*$`,
      ...options,
    },
    Blanked(),
    rule('prompt', textOf(`1 to ${MAX_PROMPT}`), (value) => isText(value, 1)),
  );

/** What not to draw; may be empty. */
export const NegativePrompt = (options: ApiPropertyOptions = {}) =>
  field(
    { type: 'string', maxLength: MAX_PROMPT, pattern: '^[^\\u0000]*$', ...options },
    Blanked(),
    rule('negativePrompt', textOf(`at most ${MAX_PROMPT}`), (value) => isText(value, 0)),
  );

/** WIDTHxHEIGHT, or `auto`, which is the same as none; whether MAX_PIXELS allows it is the service's question. */
export const PictureSize = (options: ApiPropertyOptions = {}) =>
  applyDecorators(
    field(
      { type: 'string', pattern: '^(auto|[1-9]\\d{1,3}x[1-9]\\d{1,3})$', example: '1024x1024', ...options },
      rule(
        'size',
        'WIDTHxHEIGHT in multiples of 8 from 64 to 4096',
        (value) => typeof value === 'string' && parseSize(value) !== undefined,
      ),
    ),
    Transform(({ value }: { value: unknown }) => (value === 'auto' ? undefined : value)),
  );

/** What OpenAI documents and no picture of this service can be: `null` alone is taken. */
export const Unsupported = (why: string) =>
  applyDecorators(
    Optional(),
    field(
      { type: 'string', enum: [] },
      rule('unsupported', `nothing (${why})`, () => false),
    ),
  );

/** A list whose entries are validated apart. Not of lists: the validator would look through those. */
export const ListOf = (most: number, expected: string) =>
  rule(
    'listOf',
    expected,
    (value) => Array.isArray(value) && value.length <= most && !value.some(Array.isArray),
  );

/** An object, whose fields are validated apart: the validator would look through a list of them. */
export const NoList = () => rule('noList', 'an object', (value) => !Array.isArray(value));

const USER_ID = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/;
export const USER_ID_RULE = '1 to 128 of A-Z, a-z, 0-9, ".", "_", "@" and "-", the first a letter or a digit';

export const isUserId = (value: unknown): boolean => typeof value === 'string' && USER_ID.test(value);

/** Becomes part of a storage key: no slash, no leading dot. */
export const UserId = () =>
  field(
    { type: 'string', pattern: USER_ID.source, maxLength: 128, example: 'user123' },
    Matches(USER_ID, { message: USER_ID_RULE }),
    IsString({ message: USER_ID_RULE }),
  );

// By code points, as the document counts.
const CALLER = /^[^\u0000-\u001f\u007f]{1,128}$/u;

/** Anything that distinguishes callers. */
export const Caller = () =>
  field(
    { type: 'string', minLength: 1, maxLength: 128, pattern: CALLER.source, example: 'team-a' },
    rule(
      'caller',
      '1 to 128 characters of text',
      (value) => typeof value === 'string' && CALLER.test(value) && isWellFormed(value),
    ),
  );

/** An address, or the picture itself, whatever its label says: the bytes decide. Takes time in proportion to the length. */
export const PICTURE_INPUT =
  /^(?:[Hh][Tt][Tt][Pp][Ss]?:\/\/.{1,2040}|data:[^,]*;base64,[A-Za-z0-9+\/\s]+(?:=\s*){0,2})$/;

export const isPictureInput = (value: unknown): value is string | Buffer =>
  Buffer.isBuffer(value) || (typeof value === 'string' && PICTURE_INPUT.test(value));

export const PictureInput = () =>
  field(
    { type: 'string', pattern: PICTURE_INPUT.source, example: 'https://example.com/picture.png' },
    rule(
      'pictureInput',
      'an http or https address of at most 2048 characters, or data:image/png;base64, (jpeg, webp) and a picture,',
      isPictureInput,
    ),
  );
