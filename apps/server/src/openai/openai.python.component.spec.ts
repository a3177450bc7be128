import { ServiceError, type ErrorCode } from '@app/errors';
import { startApi, type Api } from '../../../../test/support/api';
import { temporaryFolder } from '../../../../test/support/demo';
import { key } from '../../../../test/support/keys';
import { OPENAI_FOR_PYTHON, python } from '../../../../test/support/python';

const ada = key('ada', ['draw', 'read']);
const reader = key('reader', ['read']);
const MODEL = 'stabilityai/stable-diffusion-xl-base-1.0';

// Each starts a Python of its own.
jest.setTimeout(120_000);

describe("OpenAI's client for Python", () => {
  const folder = temporaryFolder();
  let run: Awaited<ReturnType<typeof python>>;
  let api: Api;

  beforeAll(async () => {
    run = await python(folder, OPENAI_FOR_PYTHON);
    const API_KEYS = JSON.stringify([ada.entry, reader.entry]);
    api = await startApi({ API_KEYS, MODEL_ALIASES: 'gpt-image-1,dall-e-3' });
    api.pipeline.state = { state: 'ready', model: MODEL };
  });
  afterAll(() => api?.close());

  /** A prompt is the code of the error that it fails with, once or always. */
  function failByPrompt(): Map<string, number> {
    const attempts = new Map<string, number>();
    api.pipeline.work = () => {
      const [, often, code] = /^(once|always) (\w+)$/.exec(api.pipeline.requests.at(-1)!.prompt) ?? [];
      if (!code) return Promise.resolve();
      const attempt = (attempts.get(code) ?? 0) + 1;
      attempts.set(code, attempt);
      const fails = often === 'always' || attempt === 1;
      return fails ? Promise.reject(new ServiceError(code as ErrorCode, 'Why it is')) : Promise.resolve();
    };
    return attempts;
  }
  const answer = async (script: string) =>
    JSON.parse(await run(CLIENT + script, api.url, ada.secret, reader.secret)) as object;

  it('should get pictures in each format, several, and models by their whole names', async () => {
    expect(await answer(PICTURES)).toEqual({
      formats: { png: '89504e47', jpeg: 'ffd8ffe1', webp: '52494646' },
      several: [2, 2],
      sizes: ['64x64', '128x128'],
      models: [MODEL, 'gpt-image-1', 'dall-e-3'],
      model: { id: MODEL, object: 'model', owned_by: 'stabilityai' },
      streamed: ['image_generation.completed'],
    });
  });

  it('should raise each error in its class, with code, sentence and request', async () => {
    failByPrompt();
    expect(await answer(ERRORS)).toEqual({
      BadRequestError: [400, 'invalid_request', true],
      AuthenticationError: [401, 'unauthorized', true],
      PermissionDeniedError: [403, 'forbidden', true],
      NotFoundError: [404, 'model_not_found', true],
      ConflictError: [409, 'cancelled', true],
      UnprocessableEntityError: [422, 'lora_not_applied', true],
      RateLimitError: [429, 'rate_limited', true],
      InternalServerError: [500, 'generation_failed', true],
    });
  });

  it('should try again what may succeed, and nothing else', async () => {
    const attempts = failByPrompt();
    expect(await answer(RETRIES)).toEqual({ once: [1, 1], never: ['ConflictError', 'InternalServerError'] });
    expect(Object.fromEntries(attempts)).toEqual({
      ...{ storage_unavailable: 2, queue_full: 2 },
      ...{ cancelled: 1, generation_failed: 1 },
    });
  });
});

const CLIENT = `
import base64, json, sys
import openai
url, key, reader = sys.argv[1:]
client = openai.OpenAI(base_url=url + '/v1', api_key=key, max_retries=0)

def draw(client=client, prompt='a fox', **fields):
    return client.images.generate(**{'prompt': prompt, 'size': '64x64', **fields})

def failure(call):
    try:
        call()
    except openai.APIStatusError as error:
        return error
`;
const PICTURES = `
def start(format):
    return base64.b64decode(draw(model='gpt-image-1', output_format=format).data[0].b64_json)[:4].hex()

model = client.models.retrieve('${MODEL}')
print(json.dumps({
    'formats': {format: start(format) for format in ('png', 'jpeg', 'webp')},
    'several': [len(draw(n=2).data), len({image.url for image in draw(n=2, response_format='url').data})],
    'sizes': [draw().size, draw(size='auto').size],
    'models': [model.id for model in client.models.list()],
    'model': {'id': model.id, 'object': model.object, 'owned_by': model.owned_by},
    'streamed': [event.type for event in draw(stream=True)],
}))
`;
const ERRORS = `
calls = (
    lambda: draw(background='transparent'),
    lambda: draw(client.with_options(api_key='unknown')),
    lambda: draw(client.with_options(api_key=reader)),
    lambda: draw(model='flux'),
    *(lambda code=code: draw(prompt='always ' + code)
      for code in ('cancelled', 'lora_not_applied', 'rate_limited', 'generation_failed')),
)
errors = [failure(call) for call in calls]
print(json.dumps({
    type(error).__name__: [error.status_code, error.code, len(error.message) > 5 and error.request_id is not None]
    for error in errors
}))
`;
const RETRIES = `
patient = client.with_options(max_retries=2)
print(json.dumps({
    'once': [len(draw(patient, 'once ' + code).data) for code in ('storage_unavailable', 'queue_full')],
    'never': [type(failure(lambda: draw(patient, 'always ' + code))).__name__
              for code in ('cancelled', 'generation_failed')],
}))
`;
