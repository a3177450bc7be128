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
  /** The addresses of a name, or no answer at all; `time` counts the lookups of it from 0. */
  answer: (name: string, time: number) => string[] | 'silence' = () => [];

  private constructor(private readonly socket: Socket) {
    socket.on('message', (query, { port, address }) => {
      const reply = this.reply(query);
      if (reply) socket.send(reply, port, address);
    });
  }

  static async start(): Promise<NameServer> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const server = new NameServer(socket);
    return server;
  }

  /** Makes names of strangers be asked of this server: the system's own servers are not a test's to change. */
  takeOver(): jest.SpyInstance {
    const { Resolver } = dns.promises;
    return jest.spyOn(dns.promises, 'Resolver').mockImplementation((options) => {
      const resolver = new Resolver(options);
      resolver.setServers([`127.0.0.1:${this.socket.address().port}`]);
      return resolver;
    });
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.socket.close(resolve));
  }

  /** RFC 1035, section 4: the header, the question as it came, and an answer record for each address of its kind. */
  private reply(query: Buffer): Buffer | undefined {
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
    const answer = this.answer(name, time);
    if (answer === 'silence') return undefined;
    const records = answer
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

/** What name servers say of every name, without asking any; undefined: nothing. */
export function resolveTo(address: string | undefined): void {
  const answer = (family: 4 | 6) => () =>
    address && isIP(address) === family
      ? Promise.resolve([address])
      : Promise.reject(Object.assign(new Error('no name'), { code: 'ENOTFOUND' }));
  const { prototype } = dns.promises.Resolver;
  jest.spyOn(prototype, 'resolve4').mockImplementation(answer(4));
  jest.spyOn(prototype, 'resolve6').mockImplementation(answer(6));
}
