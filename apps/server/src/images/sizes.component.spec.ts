import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { marksOf, readParameters } from '../../../../test/support/parameters.reader';

interface Reply {
  data: { url: string; size: string }[];
  generation: Record<string, unknown>;
  error?: { code: string; param: string; message: string };
}

describe('Sizes', () => {
  let api: Api;
  const post = (body: object) =>
    http(api.url)
      .post('/v1/images/generations')
      .send({ prompt: 'a fox', ...body });
  const draw = async (body: object) => (await post(body).expect(200)).body as Reply;
  const refusal = async (body: object) => ((await post(body).expect(400)).body as Reply).error!;
  const png = async (width: number, height: number, background: string) => {
    const picture = sharp({ create: { width, height, channels: 3, background } }).png();
    return `data:image/png;base64,${(await picture.toBuffer()).toString('base64')}`;
  };
  afterEach(() => api.close());

  it.each(['904x1024', '1536x864', '64x72'])(
    'should be %s to the pixel, and be told so wherever a size is told',
    async (size) => {
      api = await startApi();
      const { data, generation } = await draw({ size });
      const [width, height] = size.split('x').map(Number);
      expect(api.pipeline.requests[0]).toMatchObject({ width, height });
      expect([data[0].size, generation.size]).toEqual([size, size]);
      const file = await (await fetch(api.url + new URL(data[0].url).pathname)).arrayBuffer();
      expect(await sharp(file).metadata()).toMatchObject({ width, height });
      expect(readParameters((await marksOf(file)).parameters[0])).toMatchObject({ Size: size });
    },
  );

  it('should cut a picture to begin from and its mask to just that', async () => {
    api = await startApi();
    const body = { size: '72x64', image: await png(72, 64, 'red'), mask: await png(72, 64, 'white') };
    await draw(body);
    const [{ image, mask }] = api.pipeline.requests;
    expect([image!.pixels.length, mask!.length]).toEqual([72 * 64 * 3, 72 * 64]);
  });

  it('should be bounded as they are asked for, and by what the memory holds as they are drawn', async () => {
    api = await startApi({ MAX_PIXELS: '8192', DEFAULT_SIZE: '72x64' });
    await draw({});
    expect(api.pipeline.requests[0]).toMatchObject({ width: 72, height: 64 });
    await draw({ size: '104x72' });
    expect((await refusal({ size: '104x80' })).message).toMatch(/at most 8192 pixels .* 104x80$/);
    api.pipeline.mostOf = { 0: 8191 };
    expect(await refusal({ size: '72x64' })).toMatchObject({
      param: 'size',
      message: expect.stringMatching(/has the memory, such as 64x64, but received 72x64$/) as string,
    });
    await draw({ size: '64x64' });
    const hires = { scale: 1.1 };
    expect(await refusal({ size: '64x64', hires })).toMatchObject({
      param: 'hires.scale',
      message: expect.stringMatching(/has the memory .* but received 72x72$/) as string,
    });
  });
});
