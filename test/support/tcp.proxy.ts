import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** An address that leads to a port of this machine: to another one later, as a name does after a failover. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private state: 'open' | 'silent' | 'cut' = 'open';

  private constructor(
    private readonly server: Server,
    private target: number,
  ) {}

  static async to(target: number): Promise<TcpProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new TcpProxy(server, target);
    server.on('connection', (socket) => proxy.join(socket));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Of new connections; those that are there stay as they are. */
  leadTo(target: number): void {
    this.target = target;
  }

  /**
   * The connections that are there swallow what is sent, and never end: a host that is gone without a word. Those that
   * come do so, too, with `later`.
   */
  silence({ later = false } = {}): void {
    if (later) this.state = 'silent';
    for (const socket of this.sockets) socket.unpipe().resume();
  }

  /** Ends all connections at once, those that come, too. */
  cut(): void {
    this.state = 'cut';
    for (const socket of this.sockets) socket.destroy();
  }

  /** Connections lead there again; those that do not are ended. */
  mend(): void {
    this.cut();
    this.state = 'open';
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private join(near: Socket): void {
    if (this.state === 'cut') return void near.destroy();
    if (this.state === 'silent') {
      this.sockets.add(near);
      near.on('error', () => {}).resume();
      return;
    }
    const far = connect(this.target, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      this.sockets.add(from);
      from.on('error', () => {}).on('close', () => (this.sockets.delete(from), to.destroy()));
      from.pipe(to);
    }
  }
}
