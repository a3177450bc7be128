import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A connection on which a test sends what no HTTP client would. */
export class RawConnection {
  received = '';
  closed = false;

  private constructor(readonly socket: Socket) {
    socket.setEncoding('latin1').on('data', (text: string) => (this.received += text));
    socket.on('close', () => (this.closed = true)).on('error', () => undefined);
  }

  /** `localAddress`: the address that the service sees, such as 127.0.0.2. */
  static async open(url: string, text = '', localAddress?: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ port: Number(port), host: hostname, localAddress });
    await once(socket, 'connect');
    const connection = new RawConnection(socket);
    connection.socket.write(text);
    return connection;
  }

  write(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    for (const end = Date.now() + 10_000; !condition(); await sleep(10)) {
      if (Date.now() > end) throw new Error(`Not in 10 s: ${what}; received ${this.received}`);
    }
  }

  /** The first whole reply that has a Content-Length. */
  async reply(): Promise<{ status: number; head: string; body: string }> {
    const parts = () => {
      const end = this.received.indexOf('\r\n\r\n');
      const head = this.received.slice(0, end).toLowerCase();
      const length = Number(/^content-length: (\d+)/m.exec(head)?.[1]);
      return { head, length, body: this.received.slice(end + 4, end + 4 + length) };
    };
    const whole = () => this.received.includes('\r\n\r\n') && parts().body.length === parts().length;
    await this.until(whole, 'a reply');
    const { head, body } = parts();
    return { status: Number(/^http\/1\.1 (\d+)/.exec(head)?.[1]), head, body };
  }

  async end(): Promise<void> {
    await this.until(() => this.closed, 'the end of the connection');
  }
}
