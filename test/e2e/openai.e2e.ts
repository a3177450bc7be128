import OpenAI from 'openai';
import sharp from 'sharp';
import { temporaryFolder } from '../support/demo';
import { key } from '../support/keys';
import { OPENAI_FOR_PYTHON, python } from '../support/python';
import { FEW_PICTURES, Service } from '../support/service';

const ada = key('ada', ['draw', 'read']);
const reader = key('reader', ['read']);
/** Fields of this service, which make a picture cheap. */
const CHEAP = { seed: 42, num_inference_steps: 8, guidance_scale: 1 } as object;

describe("OpenAI's clients", () => {
  const DATA_DIR = temporaryFolder();
  let service: Service;
  let client: OpenAI;

  beforeAll(async () => {
    const API_KEYS = JSON.stringify([ada.entry, reader.entry]);
    service = await Service.startReady({ ...FEW_PICTURES, DATA_DIR, API_KEYS });
    client = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: ada.secret });
  });
  afterAll(() => service?.stop('SIGKILL'));

  it('should have the same image drawn as a link and as bytes, under two names of the model', async () => {
    const request = { prompt: 'a fox', size: '64x64', ...CHEAP } as const;
    const linked = await client.images.generate({ ...request, model: 'dall-e-3' });
    const inline = await client.images.generate({ ...request, model: 'gpt-image-1' });
    const link = await fetch(linked.data![0].url!);
    const bytes = Buffer.from(await link.arrayBuffer());
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });
    expect(inline.data![0].b64_json).toBe(bytes.toString('base64'));
    expect(inline.size).toBe('64x64');
  });

  it('should stream partial images, and then the same image', async () => {
    const request = { prompt: 'a fox', size: '64x64', ...CHEAP } as const;
    const stream = await client.images.generate({ ...request, stream: true, partial_images: 2 });
    const events = [];
    for await (const event of stream) events.push(event);
    expect(events.map(({ type }) => type)).toEqual([
      ...['image_generation.partial_image', 'image_generation.partial_image'],
      'image_generation.completed',
    ]);
    expect(new Set(events.map(({ b64_json }) => b64_json)).size).toBe(3);
    const { data } = await client.images.generate({ ...request, response_format: 'b64_json' });
    expect(events.at(-1)!.b64_json).toBe(data![0].b64_json);
  });

  it('should name the model', async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining(['demo', 'gpt-image-1']));
  });

  it('should answer the one for Python alike: fields, stream, models and errors', async () => {
    const run = await python(DATA_DIR, OPENAI_FOR_PYTHON);
    expect(JSON.parse(await run(SCRIPT, service.url, ada.secret))).toEqual({
      url: 'url',
      inline: 'PNG',
      nulls: 1,
      stream: ['image_generation.partial_image', 'image_generation.completed'],
      in_stream: { class: 'APIError', code: 'deadline_exceeded' },
      models: ['demo', 'demo'],
      errors: ['BadRequestError', 'AuthenticationError', 'NotFoundError', 'PermissionDeniedError'],
      edits: {
        list: 1,
        stream: ['image_edit.partial_image', 'image_edit.partial_image', 'image_edit.completed'],
        in_stream: { class: 'APIError', code: 'deadline_exceeded' },
        errors: ['BadRequestError', 'UnprocessableEntityError', 'APIStatusError', 'BadRequestError'],
      },
    });
  });
});

/** Every kind of call, as a program of its users makes it; prints what came. */
const SCRIPT = `
import base64, json, sys
import openai
url, key = sys.argv[1:]
client = openai.OpenAI(base_url=url + '/v1', api_key=key, max_retries=0)
cheap = {'seed': 42, 'num_inference_steps': 8, 'guidance_scale': 1}
fox = {'prompt': 'a fox', 'size': '64x64', 'extra_body': cheap}

def draw(**fields):
    return client.images.generate(**{**fox, **fields})

def failure(call):
    try:
        call()
    except openai.APIError as error:
        return error

linked = draw(model='dall-e-3').data[0]
inline = draw(model='gpt-image-1').data[0]
nulls = draw(model=None, n=None, quality=None, style=None, response_format=None, background=None, moderation=None,
             output_format=None, output_compression=None, stream=None, partial_images=None)
events = [event.type for event in draw(stream=True, partial_images=1)]
late = {'extra_body': {**cheap, 'num_inference_steps': 150, 'guidance_scale': 5, 'deadline_seconds': 1}}
in_stream = failure(lambda: list(draw(stream=True, size='512x512', **late)))
stranger = client.with_options(api_key='unknown')
png = base64.b64decode(inline.b64_json)
def edit(**fields):
    return client.images.edit(**{**fox, 'image': png, **fields})
late_edit = failure(lambda: list(edit(stream=True, size='512x512', **late)))
edits = {
    'list': len(edit(image=[png, png], n=1).data),
    'stream': [event.type for event in edit(stream=True, partial_images=2)],
    'in_stream': {'class': type(late_edit).__name__, 'code': late_edit.code},
    'errors': [type(failure(call)).__name__ for call in (
        lambda: edit(extra_body={'overlay': 'x'}),
        lambda: edit(image=b'hello'),
        lambda: edit(image=png + bytes(21 * 1024 * 1024)),
        lambda: edit(background='transparent'),
    )],
}
print(json.dumps({
    'edits': edits,
    'url': 'url' if linked.url and linked.b64_json is None else None,
    'inline': base64.b64decode(inline.b64_json)[1:4].decode() if inline.url is None else None,
    'nulls': len(nulls.data),
    'stream': events,
    'in_stream': {'class': type(in_stream).__name__, 'code': in_stream.code},
    'models': [next(iter(client.models.list())).id, client.models.retrieve('demo').id],
    'errors': [type(failure(call)).__name__ for call in (
        lambda: draw(background='transparent'),
        lambda: stranger.models.list(),
        lambda: draw(model='flux'),
        lambda: client.with_options(api_key='secret-of-reader').images.generate(prompt='x'),
    )],
}))
`;
