import { createSocket, type Socket } from 'node:dgram';
import dns from 'node:dns';
import { once } from 'node:events';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

const [A, AAAA] = [1, 28];

/** A name server of a stranger's: answers over UDP whatever `answer` says at that moment, to be forgotten at once. */
export class NameServer {
  /** Every question of the kind A or AAAA, in order. */
  readonly asked: string[] = [];
  /** The addresses of a name; `time` counts the lookups of it from 0. */
  answer: (name: string, time: number) => string[] = () => [];
  private readonly resolver = new dns.promises.Resolver({ tries: 1, timeout: 2000 });

  private constructor(private readonly socket: Socket) {
    socket.on('message', (query, { port, address }) => socket.send(this.reply(query), port, address));
  }

  static async start(): Promise<NameServer> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const server = new NameServer(socket);
    server.resolver.setServers([`127.0.0.1:${socket.address().port}`]);
    return server;
  }

  /** Makes `dns.lookup` ask this server: the system's own resolver cannot be pointed at one without being root. */
  takeOver(): jest.SpyInstance {
    const lookup = async (host: string) => {
      if (isIP(host)) return [{ address: host, family: isIP(host) }];
      const ask = (family: 4 | 6) =>
        (family === 4 ? this.resolver.resolve4(host) : this.resolver.resolve6(host)).then(
          (found) => found.map((address) => ({ address, family })),
          () => [],
        );
      return [...(await ask(4)), ...(await ask(6))];
    };
    type Callback = (error: Error | null, found?: unknown, family?: number) => void;
    const stand = (host: string, ...more: [Callback] | [dns.LookupOptions, Callback]) => {
      const [options, callback] = more.length === 1 ? [{}, more[0]] : more;
      void lookup(host).then((found) => {
        if (found.length === 0) {
          callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }));
        } else if (options.all) callback(null, found);
        else callback(null, found[0].address, found[0].family);
      });
    };
    return jest.spyOn(dns, 'lookup').mockImplementation(stand as unknown as typeof dns.lookup);
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.socket.close(resolve));
  }

  /** RFC 1035, section 4: the header, the question as it came, and an answer record for each address of its kind. */
  private reply(query: Buffer): Buffer {
    const labels: string[] = [];
    let at = 12;
    for (; query[at] > 0; at += 1 + query[at])
      labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
    const question = query.subarray(12, at + 5);
    const type = query.readUInt16BE(at + 1);
    const name = labels.join('.').toLowerCase();
    const key = `${name} ${type}`;
    const time = this.asked.filter((one) => one === key).length;
    this.asked.push(key);
    const records = this.answer(name, time)
      .filter((address) => type === (isIP(address) === 4 ? A : AAAA))
      .map((address) => {
        const data = Buffer.from(ipaddr.parse(address).toByteArray());
        const record = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, data.length]); // time to live: 0
        return Buffer.concat([record, data]);
      });
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    head.writeUInt32BE(0, 8);
    return Buffer.concat([head, question, ...records]);
  }
}
