import { assertDescribed } from './described';

/** `plain`, whose replies have to be as openapi.json says. */
export const describedFetch =
  (plain: typeof fetch): typeof fetch =>
  async (input, init) => {
    const response = await plain(input, init);
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    const json = response.headers.get('content-type')?.startsWith('application/json');
    assertDescribed({
      method: init?.method?.toUpperCase() ?? 'GET',
      path: pathname,
      sent: typeof init?.body === 'string' ? (JSON.parse(init.body) as unknown) : undefined,
      status: response.status,
      header: (name) => response.headers.get(name),
      text: json ? await response.clone().text() : undefined,
    });
    return response;
  };
