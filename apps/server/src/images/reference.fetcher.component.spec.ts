import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loadConfig } from '@app/config';
import { MAX_PICTURE_BYTES } from '@app/pictures';
import { freePorts } from '../../../../test/support/ports';
import { ReferenceFetcher } from './reference.fetcher';

const never = new AbortController().signal;
const invalid = (message: RegExp) => ({
  code: 'invalid_request',
  param: 'reference_image_url',
  message: expect.stringMatching(message) as string,
});

describe(ReferenceFetcher.name, () => {
  const servers: Server[] = [];
  const fetchers: ReferenceFetcher[] = [];

  async function serve(listener: RequestListener, host = '127.0.0.1'): Promise<string> {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    return `http://${host}:${(server.address() as AddressInfo).port}`;
  }
  function fetcher(allow = '127.0.0.1'): ReferenceFetcher {
    const made = new ReferenceFetcher(loadConfig({ REFERENCE_URL_ALLOW: allow }));
    fetchers.push(made);
    return made;
  }

  afterEach(async () => {
    await Promise.all(fetchers.splice(0).map((made) => made.onApplicationShutdown()));
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('should return the bytes of an allowed address', async () => {
    const url = await serve((_request, response) => response.end('bytes'));
    expect((await fetcher().fetch(`${url}/a.png`, never)).toString()).toBe('bytes');
  });

  it('should say who asks, as operators of pictures want to know', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/1') response.writeHead(302, { location: '/2' }).end();
      else response.end(request.headers['user-agent']);
    });
    expect((await fetcher().fetch(`${url}/1`, never)).toString()).toMatch(/^sdxl-image-service\/\d/);
  });

  it('should follow relative redirects up to three', async () => {
    const url = await serve((request, response) => {
      const hop = Number(request.url!.slice(1));
      if (hop === 0) response.end('bytes');
      else response.writeHead(302, { location: `/${hop - 1}` }).end();
    });
    expect((await fetcher().fetch(`${url}/3`, never)).toString()).toBe('bytes');
    await expect(fetcher().fetch(`${url}/4`, never)).rejects.toMatchObject(invalid(/at most 3 redirects/));
  });

  it('should not connect to a private address, even one behind a redirect', async () => {
    let reached = 0;
    const inside = await serve((_request, response) => response.end(String(++reached)), '127.0.0.2');
    await expect(fetcher().fetch(inside, never)).rejects.toMatchObject(invalid(/public address/));
    const outside = await serve((_request, response) => response.writeHead(302, { location: inside }).end());
    await expect(fetcher().fetch(outside, never)).rejects.toMatchObject(invalid(/public address/));
    expect(reached).toBe(0);
  });

  it('should judge a name by the address that it resolves to, unless the name itself is allowed', async () => {
    const { port } = new URL(await serve((_request, response) => response.end('bytes')));
    const url = `http://localhost:${port}`;
    await expect(fetcher('10.0.0.0/8').fetch(url, never)).rejects.toMatchObject(invalid(/public address/));
    expect((await fetcher('localhost').fetch(url, never)).toString()).toBe('bytes');
    expect((await fetcher('127.0.0.0/8').fetch(url, never)).toString()).toBe('bytes');
  });

  it('should tell an address that answers with an error', async () => {
    const url = await serve((_request, response) => response.writeHead(404).end());
    await expect(fetcher().fetch(url, never)).rejects.toMatchObject(invalid(/answers 200 .* received 404/));
  });

  it('should tell an address where nothing listens', async () => {
    const [closed] = await freePorts(1);
    await expect(fetcher().fetch(`http://127.0.0.1:${closed}`, never)).rejects.toMatchObject(
      invalid(/reached/),
    );
  });

  it('should stop reading a body that is too large', async () => {
    let sent = 0;
    const url = await serve((_request, response) => {
      const more = () => {
        while (!response.destroyed && sent < 4 * MAX_PICTURE_BYTES) {
          sent += 1 << 20;
          if (!response.write(Buffer.alloc(1 << 20))) return void response.once('drain', more);
        }
      };
      more();
    });
    await expect(fetcher().fetch(url, never)).rejects.toMatchObject(invalid(/at most 20 MiB/));
    expect(sent).toBeLessThan(2 * MAX_PICTURE_BYTES);
  });

  it('should count the bytes of a compressed body after decompression', async () => {
    const { gzipSync } = await import('node:zlib');
    const bomb = gzipSync(Buffer.alloc(MAX_PICTURE_BYTES + 1));
    const url = await serve((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    );
    await expect(fetcher().fetch(url, never)).rejects.toMatchObject(invalid(/at most 20 MiB/));
  });

  it('should give up on a server that sends slowly, not only on one that is silent', async () => {
    const url = await serve((_request, response) => {
      const drip = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(drip));
    });
    const hasty = fetcher();
    hasty.timeout = 200;
    await expect(hasty.fetch(url, never)).rejects.toMatchObject(invalid(/within 0.2 seconds/));
  });

  it('should give up on a server that is silent sooner than on one that sends', async () => {
    const silent = fetcher();
    silent.firstByte = 100;
    const url = await serve(() => undefined);
    await expect(silent.fetch(url, never)).rejects.toMatchObject(invalid(/answer within 0.1 seconds/));

    const sending = fetcher();
    sending.firstByte = 2000;
    const slow = await serve((_request, response) => {
      response.write('by');
      setTimeout(() => response.end('tes'), 2500);
    });
    expect((await sending.fetch(slow, never)).toString()).toBe('bytes');
  });

  it('should give up on a silent server behind a redirect as soon', async () => {
    const silent = fetcher();
    silent.firstByte = 100;
    const url = await serve((request, response) => {
      if (request.url === '/') response.writeHead(302, { location: '/silent' }).end();
    });
    await expect(silent.fetch(url, never)).rejects.toMatchObject(invalid(/answer within 0.1 seconds/));
  });

  it('should close the connection to a server whose answer it does not want', async () => {
    let closed!: Promise<unknown>;
    const endless: RequestListener = (request, response) => {
      closed = once(response, 'close');
      response.writeHead(request.url === '/404' ? 404 : 302, { location: '/404' });
      const drip = setInterval(() => response.write('.'.repeat(1000)), 5);
      response.on('close', () => clearInterval(drip));
    };
    await expect(fetcher().fetch(await serve(endless), never)).rejects.toMatchObject(invalid(/received 404/));
    await closed;
  });

  it('should not take headers without end', async () => {
    const url = await serve(({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const drip = setInterval(() => socket.write(`x-${'y'.repeat(4000)}: z\r\n`), 1);
      socket.on('close', () => clearInterval(drip)).on('error', () => undefined);
    });
    await expect(fetcher().fetch(url, never)).rejects.toMatchObject(invalid(/reached/));
  });

  it('should give up on a server that announces an answer again and again', async () => {
    const url = await serve(({ socket }) => {
      const drip = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 5);
      socket.on('close', () => clearInterval(drip)).on('error', () => undefined);
    });
    const hasty = fetcher();
    hasty.timeout = 200;
    await expect(hasty.fetch(url, never)).rejects.toMatchObject(invalid(/within 0.2 seconds/));
  });

  it('should count the bytes of a body that is compressed five times over', async () => {
    const { gzipSync } = await import('node:zlib');
    let bomb = Buffer.alloc(10 * MAX_PICTURE_BYTES);
    for (let i = 0; i < 5; i++) bomb = gzipSync(bomb);
    const encoding = Array(5).fill('gzip').join(', ');
    const url = await serve((_request, response) =>
      response.writeHead(200, { 'content-encoding': encoding }).end(bomb),
    );
    await expect(fetcher().fetch(url, never)).rejects.toMatchObject(invalid(/at most 20 MiB/));
  });

  it('should stop when the caller leaves', async () => {
    const caller = new AbortController();
    let closed!: Promise<unknown>;
    const url = await serve((_request, response) => {
      closed = once(response, 'close');
      response.write('half'); // and no more
      setTimeout(() => caller.abort(new Error('left')), 20);
    });
    await expect(fetcher().fetch(url, caller.signal)).rejects.toThrow('left');
    await closed;
  });

  it.each(['ftp://host/a.png', 'file:///etc/passwd', 'not a url', 'data:image/png;base64,AA=='])(
    'should refuse %s',
    async (url) => {
      await expect(fetcher().fetch(url, never)).rejects.toMatchObject(invalid(/http or https/));
    },
  );

  it('should refuse credentials in the address', async () => {
    await expect(fetcher().fetch('http://a:b@127.0.0.1/', never)).rejects.toMatchObject(
      invalid(/without user name/),
    );
  });
});
