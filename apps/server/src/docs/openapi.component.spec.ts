import type { OpenAPIObject } from '@nestjs/swagger';
import { http } from '../../../../test/support/http';
import { ERRORS } from '@app/errors';
import { startApi, type Api } from '../../../../test/support/api';

interface Operation {
  readonly summary?: string;
  readonly responses: Record<string, { description?: string }>;
  readonly security?: readonly object[];
  readonly parameters?: { name: string; in: string; schema: { type?: string | string[] } }[];
}

interface Schema {
  readonly additionalProperties?: boolean;
  readonly properties?: Record<string, { description?: string; default?: unknown; pattern?: string }>;
  readonly required?: string[];
}

const KEYS = JSON.stringify([{ name: 'test', sha256: '0'.repeat(64), scopes: ['read'] }]);

describe('the API document of a service with keys', () => {
  it('should ask for a key everywhere but on open routes, and let a signed link do without', async () => {
    const api = await startApi({ API_KEYS: KEYS });
    const document = (await http(api.url).get('/openapi.json').expect(200)).body as OpenAPIObject;
    await api.close();
    const { key } = document.components!.securitySchemes!;
    expect(key).toMatchObject({ type: 'http', scheme: 'bearer' });
    expect(key).not.toHaveProperty('bearerFormat');
    expect(document.security).toEqual([{ key: [] }]);
    const others = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item as Record<string, Operation>).flatMap(([method, { security, responses }]) => {
        expect([path, security?.length !== 0]).toEqual([path, '401' in responses]);
        return security ? [[method, path, security]] : [];
      }),
    );
    expect(others).toEqual([
      ['get', '/', []],
      ['get', '/health', []],
      ['get', '/health/live', []],
      ['get', '/health/ready', []],
      ['get', '/metrics', []],
      ['get', '/images/{key}', [{}, { key: [] }]],
    ]);
  });
});

describe('the API document', () => {
  let api: Api;
  let document: OpenAPIObject;

  beforeAll(async () => {
    api = await startApi();
    document = (await http(api.url).get('/openapi.json').expect(200)).body as OpenAPIObject;
  });
  afterAll(() => api.close());

  const schemas = () => Object.entries(document.components!.schemas as Record<string, Schema>);
  const operations = () =>
    Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item as Record<string, Operation>).map(([method, operation]) => ({
        name: `${method.toUpperCase()} ${path}`,
        operation,
      })),
    );

  it('should list every route of the contract', () => {
    expect(operations().map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'GET /',
        'POST /v1/images/memory',
        'POST /v1/images/subject',
        'POST /v1/images/generations',
        'PUT /v1/users/{user_id}/avatar',
        'GET /v1/users/{user_id}/avatar',
        'DELETE /v1/users/{user_id}/avatar',
        'PUT /v1/users/{user_id}/photo',
        'GET /v1/users/{user_id}/photo',
        'DELETE /v1/users/{user_id}/photo',
        'GET /v1/users/{user_id}/photos',
        'POST /v1/users/{user_id}/photos',
        'GET /v1/users/{user_id}/photos/{photo}',
        'DELETE /v1/users/{user_id}/photos/{photo}',
        'DELETE /v1/users/{user_id}',
        'GET /v1/jobs',
        'GET /v1/jobs/{id}',
        'DELETE /v1/jobs/{id}',
        'GET /v1/jobs/{id}/events',
        'GET /v1/loras',
        'GET /v1/styles',
        'GET /v1/models',
        'GET /v1/models/{model}',
        'GET /health',
        'GET /health/live',
        'GET /health/ready',
        'GET /images/{key}',
        'DELETE /images/{key}',
        'GET /metrics',
      ]),
    );
  });

  it('should describe every operation, reply and field', () => {
    const mute = operations()
      .filter(({ operation }) => !operation.summary)
      .map(({ name }) => name);
    for (const [schema, { properties = {} }] of schemas()) {
      for (const [field, { description }] of Object.entries(properties)) {
        if (!description) mute.push(`${schema}.${field}`);
      }
    }
    for (const { name, operation } of operations()) {
      for (const [status, { description }] of Object.entries(operation.responses)) {
        if (!description) mute.push(`${name} ${status}`);
      }
    }
    expect(mute).toEqual([]);
  });

  it('should tell limits, defaults and what is required', () => {
    const { MemoryRequest } = Object.fromEntries(schemas());
    expect(MemoryRequest.required?.sort()).toEqual(['prompt', 'user_id']);
    expect(MemoryRequest.properties).toMatchObject({
      num_inference_steps: { type: ['integer', 'null'], minimum: 1, maximum: 150, default: 50 },
      seed: { type: ['integer', 'null'], minimum: 0, maximum: 4294967295 },
      guidance_scale: { type: ['number', 'null'], minimum: 0, maximum: 30, default: 5 },
      clip_skip: { type: ['integer', 'null'], minimum: 1, maximum: 12 },
      output_format: { enum: ['png', 'jpeg', 'webp', null], default: 'png' },
      output_compression: { type: ['integer', 'null'], minimum: 0, maximum: 100, default: 100 },
      ip_adapter_scale: { type: ['number', 'null'], minimum: 0, maximum: 1, default: 0.6 },
      prompt: { type: 'string', minLength: 1, maxLength: 32_000 },
      loras: { type: ['array', 'null'], maxItems: 8 },
    });
  });

  it('should tell how wide every number is: clients that guess make a float of a seed', () => {
    const guessed: string[] = [];
    const visit = (part: unknown, path: string): void => {
      if (typeof part !== 'object' || part === null) return;
      const { type, format } = part as { type?: unknown; format?: string };
      const types = [type].flat();
      const widths = types.includes('integer') ? /^int(32|64)$/ : types.includes('number') ? /^double$/ : /^/;
      if (!widths.test(format ?? '')) guessed.push(path);
      for (const [name, child] of Object.entries(part)) visit(child, `${path}/${name}`);
    };
    visit({ ...document.paths, ...document.components }, '');
    expect(guessed).toEqual([]);
    const { PictureData, MemoryRequest, JobReply } = Object.fromEntries(schemas());
    expect(PictureData.properties!.seed).toMatchObject({ type: 'integer', format: 'int64' });
    expect(MemoryRequest.properties!.seed).toMatchObject({ type: ['integer', 'null'], format: 'int64' });
    expect(MemoryRequest.properties!.guidance_scale).toMatchObject({ format: 'double' });
    expect(JobReply.properties!.started_at).toMatchObject({ type: ['integer', 'null'], format: 'int64' });
  });

  it('should say which word a field always has', () => {
    const { JobReply, JobsReply, LorasReply } = Object.fromEntries(schemas());
    for (const [{ properties }, word] of [
      [JobReply, 'job'],
      [JobsReply, 'list'],
      [LorasReply, 'list'],
    ] as const) {
      expect(properties!.object).toMatchObject({ type: 'string', enum: [word] });
    }
  });

  it('should tell what readiness reports, by its parts', () => {
    const { ReadinessDetails } = Object.fromEntries(schemas());
    expect(Object.keys(ReadinessDetails.properties!).sort()).toEqual([
      'pipeline',
      'process',
      'records',
      'storage',
      'workers',
    ]);
    expect(JSON.stringify(document.paths['/health/ready'])).not.toContain('database');
  });

  it('should ask for no key where there is none', () => {
    const text = JSON.stringify([document.paths, document.components, document.security ?? []]);
    expect(text).not.toMatch(/"security":|"40[13]":|securitySchemes/);
  });

  it('should say where the service is: where the document was read, or at SERVICE_URL', async () => {
    expect(document.servers).toEqual([{ url: '/' }]);
    const behind = await startApi({ SERVICE_URL: 'https://example.com/images' });
    const { body } = await http(behind.url).get('/openapi.json').expect(200);
    expect((body as OpenAPIObject).servers).toEqual([{ url: 'https://example.com/images' }]);
    await behind.close();
  });

  it('should allow in requests only the fields that it describes', () => {
    const closed = schemas().flatMap(([name, schema]) => (schema.additionalProperties === false ? name : []));
    expect(closed.sort()).toEqual([
      'ControlOption',
      'CreateImageRequest',
      'CropRequest',
      'EditImageRequest',
      'FaceDetailOption',
      'HiresOptions',
      'LoraOption',
      'MemoryRequest',
      'SubjectRequest',
    ]);
  });

  it('should have no parameter that requests cannot have', () => {
    const parameters = operations().flatMap(({ operation }) => operation.parameters ?? []);
    expect(parameters.filter(({ name }) => /^(content-type|accept|authorization)$/i.test(name))).toEqual([]);
    expect(parameters.filter(({ schema }) => schema.type?.includes('null'))).toEqual([]); // text is never null
  });

  it('should tell which characters a prompt may have', () => {
    const { prompt, negative_prompt } = Object.fromEntries(schemas()).MemoryRequest.properties!;
    const [needed, optional] = [prompt, negative_prompt].map(({ pattern }) => new RegExp(pattern!));
    for (const text of ['a fox', ' a\n\tfox ', '😀', '.']) expect(text).toMatch(needed);
    for (const text of [' \n ', 'a\0fox', '\u007f']) expect(text).not.toMatch(needed);
    for (const text of ['', ' ']) expect(text).toMatch(optional);
    expect('a\0').not.toMatch(optional);
  });

  it('should tell what a path that cannot be decoded is answered', async () => {
    const withParameter = operations().filter(({ name }) => name.includes('{'));
    for (const { name, operation } of withParameter) {
      const [method, path] = name.split(' ');
      const broken = path.replace(/{\w+}/, '%ff');
      const { status } = await fetch(api.url + broken, { method });
      expect([name, status]).toEqual([name, 400]);
      expect(Object.keys(operation.responses)).toContain('400');
    }
  });

  it('should document the errors of a picture by code', () => {
    const { responses } = operations().find(({ name }) => name === 'POST /v1/images/memory')!.operation;
    expect(Object.keys(responses)).toEqual([
      '200',
      '202',
      '400',
      '404',
      '408',
      '409',
      '410',
      '413',
      '421',
      '422',
      '429',
      '500',
      '503',
      '504',
    ]);
    const text = JSON.stringify(responses);
    for (const code of ['avatar_not_found', 'ip_adapter_disabled', 'engine_not_ready'] as const) {
      expect(text).toContain(`"type":"${ERRORS[code].type}"`);
      expect(text).toContain(code);
    }
  });

  it('should be a page for people whose scripts its own policy lets run', async () => {
    const page = await http(api.url).get('/docs').expect(200);
    expect(page.text).toContain('swagger-ui');
    expect(page.headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
    await http(api.url).get('/docs/swagger-ui-bundle.js').expect(200);
  });

  it('should be announced by the welcome', async () => {
    const { body } = await http(api.url).get('/').expect(200);
    expect(body).toMatchObject({ version: document.info.version, docs: '/docs' });
    const { endpoints } = body as { endpoints: string[] };
    expect(endpoints).toEqual(
      expect.arrayContaining(['POST /v1/images/memory', 'GET /images/{key}', 'GET /docs']),
    );
    expect(endpoints.join()).not.toContain('swagger-ui');
  });
});
