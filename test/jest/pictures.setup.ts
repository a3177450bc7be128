import { assertDescribed } from '../support/described';

// A picture takes seconds on two cores, and more on a busy machine.
jest.setTimeout(180_000);

const plain = globalThis.fetch;

/** undefined: it is none, or is meant to be broken. */
function sentJson(body: unknown): unknown {
  try {
    return JSON.parse(body as string);
  } catch {
    return undefined;
  }
}

/** Every reply of the service to these tests has to be as openapi.json says. */
globalThis.fetch = async (input, init) => {
  const response = await plain(input, init);
  const { pathname } = new URL(input instanceof Request ? input.url : input);
  const json = response.headers.get('content-type')?.startsWith('application/json');
  assertDescribed({
    method: init?.method ?? 'GET',
    path: pathname,
    sent: sentJson(init?.body),
    status: response.status,
    header: (name) => response.headers.get(name),
    text: json ? await response.clone().text() : undefined,
  });
  return response;
};
