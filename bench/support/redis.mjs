import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { atEnd } from './benchmark.mjs';

/** A Redis of its own, in memory only; gone at the end. */
export async function startRedis() {
  const port = await freePort();
  const child = spawn('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no']);
  atEnd(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes('Ready to accept connections')) break;
  }
  child.stdout.resume();
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url);
  atEnd(() => Promise.resolve(client.disconnect()));
  return {
    url,
    /** Megabytes that its data take. */
    usedMb: async () => Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]) / 2 ** 20,
  };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}
