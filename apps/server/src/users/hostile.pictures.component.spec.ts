import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { startApi, type Api } from '../../../../test/support/api';
import { hostilePictures, type HostilePicture } from '../../../../test/support/picture.mutations';

const SEED = 7; // with a PNG that unpacks to 3 GB of texts and a JPEG of 2,600 scans
const COUNT = 60;

/** The short version of `npm run fuzz:pictures`: without the engine, for nothing of this gets as far as that. */
describe('Broken and hostile pictures', () => {
  let api: Api;
  let outside: Server;
  let picture: HostilePicture;

  beforeAll(async () => {
    outside = createServer((_request, response) => response.end(picture.bytes)).listen(0, '127.0.0.1');
    await once(outside, 'listening');
    api = await startApi({ REFERENCE_URL_ALLOW: '127.0.0.1' });
  });
  afterAll(async () => {
    await api.close();
    outside.closeAllConnections();
    await new Promise((resolve) => outside.close(resolve));
  });

  async function status(path: string, init: RequestInit = {}): Promise<number> {
    const response = await fetch(api.url + path, init);
    const answer = await response.arrayBuffer();
    if (response.status === 202) {
      const { id } = JSON.parse(Buffer.from(answer).toString()) as { id: string };
      await fetch(`${api.url}/v1/jobs/${id}`, { method: 'DELETE' });
    }
    return response.status;
  }
  const draw = (route: string, options: object) =>
    status(`/v1/images/${route}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'respond-async' },
      body: JSON.stringify({ prompt: 'x', ...options }),
    });

  it('should be stored, drawn from or refused at every input, and take little memory', async () => {
    const before = process.memoryUsage.rss();
    const pictureAt = await hostilePictures(SEED);
    const { port } = outside.address() as AddressInfo;
    let taken = 0;
    for (let index = 0; index < COUNT; index++) {
      picture = await pictureAt(index);
      await api.storage.put('avatars/bob.jpg', picture.bytes, 'image/jpeg');
      const put = { method: 'PUT', body: Uint8Array.from(picture.bytes) };
      const answers = {
        avatar: await status('/v1/users/ann/avatar', put),
        photo: await status('/v1/users/ann/photo', put),
        stored: await status('/v1/users/bob/avatar'),
        memory: await draw('memory', { user_id: 'bob' }),
        address: await draw('generations', { reference_image_url: `http://127.0.0.1:${port}/` }),
      };
      const fine = { avatar: 200, photo: 200, stored: 200, memory: 202, address: 202 };
      const refused = { avatar: 422, photo: 422, stored: 422, memory: 422, address: 422 };
      if (answers.avatar === 200) taken++;
      const { name } = picture;
      expect({ index, name, ...answers }).toEqual({
        index,
        name,
        ...(answers.avatar === 200 ? fine : refused),
      });
    }
    expect(taken).toBeGreaterThan(COUNT / 5);
    expect(taken).toBeLessThan((COUNT * 4) / 5);
    expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(500);
  }, 60_000);
});
