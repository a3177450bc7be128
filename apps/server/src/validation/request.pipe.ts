import {
  Injectable,
  ValidationPipe,
  type ArgumentMetadata,
  type ValidationError,
  type ValidationPipeOptions,
} from '@nestjs/common';
import { ServiceError } from '@app/errors';
import { describeValue } from './describe.value';
import { ignoresUnknown } from './unknown.fields';

/** The validator descends into everything: a few kilobytes of brackets would overflow the stack. */
const MAX_DEPTH = 8;

/** Bytes of files have no fields: there would be millions. */
const hasFields = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Buffer.isBuffer(value);

const isDeeper = (value: unknown, depth: number): boolean =>
  hasFields(value) && (depth === 0 || Object.values(value).some((entry) => isDeeper(entry, depth - 1)));

/** Letters of the unknown fields that an error names. */
const ROOM_FOR_NAMES = 2_000;

/** Names that the transformer would leave out without a word, for they lead to prototypes. */
const UNSAFE = ['__proto__', 'constructor'];

/** The path of the first such field. */
function unsafeField(value: unknown): string | undefined {
  if (!hasFields(value)) return undefined;
  for (const [name, entry] of Object.entries(value)) {
    if (UNSAFE.includes(name)) return name;
    const inside = unsafeField(entry);
    if (inside !== undefined) return `${name}.${inside}`;
  }
  return undefined;
}

const RULES: ValidationPipeOptions = {
  whitelist: true,
  transform: true, // to the class; never "50" to 50
  exceptionFactory: toServiceError,
};

/** Bodies and parameters -> DTOs; the first field that breaks its rule becomes `invalid_request`. */
@Injectable()
export class RequestPipe extends ValidationPipe {
  private readonly tolerant = new ValidationPipe(RULES);

  constructor() {
    super({ ...RULES, forbidNonWhitelisted: true });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    const isDto = metadata.type === 'body' && metadata.metatype && metadata.metatype !== Object;
    if (isDto && (typeof value !== 'object' || !value || Array.isArray(value))) {
      // Without a JSON Content-Type the body is not read at all.
      throw new ServiceError(
        'invalid_request',
        `Expected a JSON object as the body, with Content-Type application/json, but received ${describeValue(value)}`,
      );
    }
    if (isDto && isDeeper(value, MAX_DEPTH)) {
      throw new ServiceError('invalid_request', `Expected a body nested at most ${MAX_DEPTH} deep`);
    }
    const unsafe = isDto || metadata.type === 'query' ? unsafeField(value) : undefined;
    if (unsafe !== undefined) throw unknownError([unsafe]);
    if (ignoresUnknown(metadata.metatype)) return this.tolerant.transform(value, metadata);
    return super.transform(value, metadata);
  }
}

const pipe = new RequestPipe();

/** A body that was not sent as it is, but made of another one. */
export const readAs = async <T>(metatype: new () => T, body: object): Promise<T> =>
  (await pipe.transform(body, { type: 'body', metatype })) as T;

/** Unknown fields are told together: one that is misspelled is seldom alone. */
function toServiceError(errors: ValidationError[]): ServiceError {
  const unknown = unknownFields(errors);
  return unknown.length > 0 ? unknownError(unknown) : firstFault(errors);
}

const unknownFields = (errors: ValidationError[], above = ''): string[] =>
  errors.flatMap(({ property, constraints, children = [] }) =>
    constraints && 'whitelistValidation' in constraints
      ? [above + property]
      : unknownFields(children, `${above}${property}.`),
  );

function firstFault(errors: ValidationError[]): ServiceError {
  const path: string[] = [];
  let fault = errors[0];
  path.push(fault.property);
  while (!fault.constraints && fault.children?.length) {
    fault = fault.children[0];
    path.push(fault.property);
  }
  const param = path.join('.');
  const { nestedValidation, ...rules } = fault.constraints ?? {};
  const expected = Object.values(rules)[0] ?? (nestedValidation && 'an object');
  const sentence = `Expected ${expected} for ${param} but received ${describeValue(fault.value)}`;
  return new ServiceError('invalid_request', sentence, param);
}

function unknownError(fields: string[]): ServiceError {
  const names = fields.map((field) => field.slice(0, 100));
  let room = ROOM_FOR_NAMES;
  const told = names.filter((name) => (room -= name.length + 2) >= 0);
  const others = told.length < names.length ? ` and ${names.length - told.length} more` : '';
  const sentence = `Expected only documented fields but received ${told.join(', ')}${others}`;
  return new ServiceError('invalid_request', sentence, names[0]);
}
