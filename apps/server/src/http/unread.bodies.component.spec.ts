import { startApi } from '../../../../test/support/api';
import { RawConnection } from '../../../../test/support/raw.connection';
import { unreadBodies } from './unread.bodies';

const LINGER = 300;

describe(unreadBodies.name, () => {
  it('should cut a client that goes on sending what nobody reads', async () => {
    const api = await startApi({}, { linger: LINGER });
    const connection = await RawConnection.open(
      api.url,
      'PUT /nothing/here HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const sending = setInterval(() => connection.write(`400\r\n${'x'.repeat(1024)}\r\n`), 20);
    expect((await connection.reply()).status).toBe(404);
    await connection.end();
    clearInterval(sending);
    await api.close();
  });
});
