import { Transform } from 'class-transformer';
import { IsBoolean, IsIn, IsInt, IsUrl, Matches, Max, Min, ValidateBy } from 'class-validator';
import { LORA_NAME, MAX_LORA_SCALE, MAX_LORAS } from '@app/models/family';

type Rule = (target: object, key: string) => void;

/** Variables are text; each rule reads its own kind of value from it. tools/config.docs.mjs knows the rules by name. */
const all =
  (...rules: PropertyDecorator[]): Rule =>
  (target, key) =>
    rules.forEach((rule) => rule(target, key));

export const Flag = (): Rule => (target, key) =>
  all(
    Transform(
      ({ value }: { value: unknown }) =>
        ({ true: true, '1': true, false: false, '0': false })[String(value).toLowerCase()] ?? value,
    ),
    IsBoolean({ message: `${key} must be true or false` }),
  )(target, key);

export const Whole =
  (min: number, max: number): Rule =>
  (target, key) => {
    const message = `${key} must be a whole number from ${min} to ${max}`;
    all(
      Transform(({ value }: { value: unknown }) => (/^\d+$/.test(String(value)) ? Number(value) : value)),
      IsInt({ message }),
      Min(min, { message }),
      Max(max, { message }),
    )(target, key);
  };

export const OneOf =
  (...values: readonly string[]): Rule =>
  (target, key) => {
    const few = `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
    const choice = values.length > 3 ? `one of ${values.join(', ')}` : few;
    IsIn(values, { message: `${key} must be ${choice}` })(target, key);
  };

/** What goes into a header of HTTP: a line break inside, or a letter of no such alphabet, would fail each request. */
export const HeaderText = (): Rule =>
  all(
    Matches(/^[\x21-\x7e]+$/, {
      message: '$property must be one line of plain letters, digits and signs: copy it anew',
    }),
  );

/** Values separated by commas. */
export const List = (): PropertyDecorator =>
  Transform(({ value }: { value: unknown }) => (Array.isArray(value) ? (value as string[]) : listed(value)));

const listed = (value: unknown): string[] =>
  String(value)
    .split(',')
    .map((text) => text.trim())
    .filter(Boolean);

/** A LoRA that the operator applies; no scale: 1. */
export interface UsualLora {
  readonly name: string;
  readonly scale?: number;
}

/** `NAME` or `NAME:SCALE`, separated by commas. */
export const Loras = (): Rule => (target, key) =>
  all(
    Transform(({ value }: { value: unknown }) =>
      Array.isArray(value) ? (value as UsualLora[]) : listed(value).map(usualLora),
    ),
    ValidateBy({
      name: 'loras',
      validator: {
        validate: (loras: UsualLora[]) => loras.length <= MAX_LORAS && loras.every(isUsualLora),
        defaultMessage: () =>
          `${key} must be at most ${MAX_LORAS} names of LoRAs, separated by commas, each alone or with a scale from -${MAX_LORA_SCALE} to ${MAX_LORA_SCALE} behind a colon, and none twice`,
      },
    }),
  )(target, key);

function usualLora(text: string): UsualLora {
  const [name, ...scale] = text.split(':');
  return scale.length === 0 ? { name } : { name, scale: Number(scale.join(':') || NaN) };
}

const isUsualLora = ({ name, scale = 1 }: UsualLora, index: number, all: UsualLora[]) =>
  LORA_NAME.test(name) &&
  Math.abs(scale) <= MAX_LORA_SCALE &&
  all.findIndex((other) => other.name === name) === index;

const HOST = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$|^[0-9A-Fa-f:.]+(\/\d{1,3})?$/;

export const Hosts = (): Rule =>
  all(
    List(),
    Matches(HOST, {
      each: true,
      message: '$property must be hosts, addresses or CIDRs, separated by commas',
    }),
  );

export const Prefix = (): PropertyDecorator =>
  Matches(/^([A-Za-z0-9_@-][A-Za-z0-9._@-]*\/)+$/, {
    message: '$property must be folder names that end in "/", such as avatars/',
  });

export const HttpUrl = (): PropertyDecorator =>
  IsUrl(
    { protocols: ['http', 'https'], require_protocol: true, require_tld: false, allow_underscores: true },
    { message: '$property must be an http or https address, such as http://localhost:8000' },
  );
