import request from 'supertest';
import { assertDescribed } from './described';

type App = ConstructorParameters<typeof request.agent>[0];

/** supertest over an address. Its types do not know that it takes one. Replies have to be as openapi.json says. */
export const http = (address: string) =>
  new request.agent(address as unknown as App).use(
    (test: request.Test & { readonly _data?: unknown }) =>
      void test.expect(({ status, headers, text, type }) =>
        assertDescribed({
          method: test.method,
          path: new URL(test.url).pathname,
          sent: typeof test._data === 'object' && !Buffer.isBuffer(test._data) ? test._data : undefined,
          status,
          header: (name) => (headers as Record<string, string | undefined>)[name.toLowerCase()],
          text: type === 'application/json' ? text : undefined,
        }),
      ),
  );
