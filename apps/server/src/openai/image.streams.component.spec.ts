import OpenAI from 'openai';
import sharp from 'sharp';
import { ServiceError } from '@app/errors';
import type { GenerateListeners } from '@app/pipeline';
import { startApi, type Api } from '../../../../test/support/api';
import { assertEventDescribed } from '../../../../test/support/described';
import { describedFetch } from '../../../../test/support/described.fetch';
import { assertStreamable } from './openai.dto';

type Partial = OpenAI.Images.ImageGenPartialImageEvent;
type Completed = OpenAI.Images.ImageGenCompletedEvent;

/** A promise that is resolved from outside. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe("A stream of OpenAI's events", () => {
  let api: Api;
  let client: OpenAI;

  beforeAll(async () => {
    api = await startApi();
    client = new OpenAI({
      apiKey: 'none',
      baseURL: `${api.url}/v1`,
      maxRetries: 0,
      fetch: describedFetch(fetch),
    });
  });
  afterAll(async () => {
    // In place of one that it cut, the client opens a connection on which nothing ever comes.
    api.app.getHttpServer().closeAllConnections();
    await api.close();
  });
  beforeEach(() => {
    api.pipeline.work = () => Promise.resolve();
  });

  const request = { prompt: 'a fox', size: '64x64', stream: true } as const;

  const post = (body: object) =>
    fetch(`${api.url}/v1/images/generations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  /** By their fields, as they come over the wire, and as the document has them. */
  async function eventsOf(reply: Response) {
    expect(reply.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const blocks = (await reply.text()).split('\n\n').filter(Boolean);
    return blocks.map((block) => {
      const [event, data] = block.split('\n').map((line) => line.replace(/^\w+: /, ''));
      assertEventDescribed({ event, data }, ['/v1/images/generations', 'post']);
      return { event, data };
    });
  }

  /** An engine whose previews are 8 x 8; each is made when the test says so. */
  function drawIn(steps: number) {
    const gates = Array.from({ length: steps + 1 }, gate);
    const wanted: boolean[] = [];
    api.pipeline.work = async (_signal, listeners: GenerateListeners = {}) => {
      for (let step = 1; step <= steps; step++) {
        await gates[step - 1].opened;
        wanted.push((await listeners.previewsWanted?.()) ?? false);
        listeners.onPreview?.({ pixels: Buffer.alloc(8 * 8 * 3, step), width: 8, height: 8, step });
        listeners.onProgress?.({ phase: 'sampling', step, steps });
      }
      await gates[steps].opened;
    };
    return { gates, wanted };
  }

  it.each([
    [1, 4, [2]],
    [2, 6, [2, 4]],
    [3, 8, [2, 4, 6]],
    [3, 2, [1, 2]],
  ])('should send %i partial images of %i steps, then the picture', async (partial_images, steps, at) => {
    const { gates, wanted } = drawIn(steps);
    const fields = { num_inference_steps: steps, quality: 'high' } as const;
    const stream = await client.images.generate({ ...request, ...fields, partial_images });
    const events = stream[Symbol.asyncIterator]();
    let drawn = 0;
    for (const [index, step] of at.entries()) {
      while (drawn < step) gates[drawn++].open();
      const { value } = (await events.next()) as { value: Partial };
      expect(value).toMatchObject({
        ...{ type: 'image_generation.partial_image', partial_image_index: index, size: '64x64' },
        ...{ quality: 'high', background: 'opaque', output_format: 'jpeg' },
      });
      expect(Math.abs(value.created_at - Date.now() / 1000)).toBeLessThan(60);
      const picture = await sharp(Buffer.from(value.b64_json, 'base64')).metadata();
      expect(picture).toMatchObject({ format: 'jpeg', width: 8, height: 8 });
    }
    while (drawn <= steps) gates[drawn++].open();
    const { value } = (await events.next()) as { value: Completed };
    expect(value).toMatchObject({
      ...{ type: 'image_generation.completed', size: '64x64', quality: 'high', background: 'opaque' },
      ...{ output_format: 'png', usage: { total_tokens: 0, input_tokens_details: { text_tokens: 0 } } },
    });
    const picture = await sharp(Buffer.from(value.b64_json, 'base64')).metadata();
    expect(picture).toMatchObject({ format: 'png', width: 64, height: 64 });
    expect(await events.next()).toMatchObject({ done: true });
    expect(wanted).toEqual(Array(steps).fill(true));
  });

  it.each([0, null, undefined])(
    'should send the picture alone where partial_images is %s',
    async (partial_images) => {
      const { gates, wanted } = drawIn(2);
      gates.forEach(({ open }) => open());
      const types = [];
      for await (const { type } of await client.images.generate({ ...request, partial_images }))
        types.push(type);
      expect(types).toEqual(['image_generation.completed']);
      expect(wanted).toEqual([false, false]);
    },
  );

  it('should raise in the client what goes wrong once the stream is open', async () => {
    const { opened, open } = gate();
    api.pipeline.work = () =>
      opened.then(() => Promise.reject(new ServiceError('lora_not_applied', 'It has no effect')));
    const stream = await client.images.generate(request);
    open();
    const read = async () => {
      for await (const event of stream) throw new Error(event.type);
    };
    const error = await read().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({
      code: 'lora_not_applied',
      type: 'invalid_request_error',
      message: 'It has no effect',
    });
  });

  it('should name an error by its event and in its data, as both clients look for it', async () => {
    api.pipeline.work = () => Promise.reject(new ServiceError('generation_failed', 'It is black'));
    const reply = await post(request);
    const [{ event, data }] = await eventsOf(reply);
    expect(event).toBe('error');
    expect(JSON.parse(data)).toEqual({
      error: { message: 'It is black', type: 'server_error', param: null, code: 'generation_failed' },
      request_id: reply.headers.get('x-request-id'),
    });
  });

  it('should be as openapi.json says', async () => {
    const { gates } = drawIn(4);
    const reply = await post({ ...request, partial_images: 1 });
    gates.forEach(({ open }) => open());
    const events = await eventsOf(reply);
    expect(events.at(-1)!.event).toBe('image_generation.completed');
  });

  it('should refuse with a status what is wrong before the job is accepted', async () => {
    const failure = client.images.generate({ ...request, size: '100x100' });
    await expect(failure).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(client.images.generate({ ...request, partial_images: 4 })).rejects.toMatchObject({
      param: 'partial_images',
    });
  });

  it('should stop the job of a client that leaves the stream', async () => {
    const { opened: stopped, open: stop } = gate();
    api.pipeline.work = (signal) =>
      new Promise((_, reject) => {
        signal!.addEventListener('abort', () => {
          stop();
          reject(signal!.reason as Error);
        });
      });
    const stream = await client.images.generate(request);
    stream.controller.abort();
    await stopped;
  });

  it('should send the picture of then to a key that had one', async () => {
    const options = { headers: { 'idempotency-key': 'once' } };
    const read = async () => {
      const events = [];
      for await (const event of await client.images.generate({ ...request, partial_images: 2 }, options))
        events.push(event);
      return events;
    };
    const [first] = await read();
    const again = await read();
    expect(again).toEqual([{ ...first, created_at: expect.any(Number) as number }]);
  });

  it('should be of one picture: no event says which one it is of', () => {
    expect(() => assertStreamable({ stream: true, n: 2 })).toThrow(/n of 1 with stream.* 2$/);
    for (const fine of [{ stream: true, n: 1 }, { stream: true }, { n: 2 }]) assertStreamable(fine);
  });
});
