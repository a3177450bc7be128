import { assertDescribed } from '../support/described';

// A picture takes seconds on two cores, and more on a busy machine.
jest.setTimeout(180_000);

const plain = globalThis.fetch;

/** Every reply of the service to these tests has to be as openapi.json says. */
globalThis.fetch = async (input, init) => {
  const response = await plain(input, init);
  const { pathname } = new URL(input instanceof Request ? input.url : input);
  const json = response.headers.get('content-type')?.startsWith('application/json');
  assertDescribed({
    method: init?.method ?? 'GET',
    path: pathname,
    sent: typeof init?.body === 'string' ? (JSON.parse(init.body) as unknown) : undefined,
    status: response.status,
    header: (name) => response.headers.get(name),
    text: json ? await response.clone().text() : undefined,
  });
  return response;
};
