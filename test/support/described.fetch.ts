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
      sent: sentJson(init?.body),
      status: response.status,
      header: (name) => response.headers.get(name),
      text: json ? await response.clone().text() : undefined,
    });
    return response;
  };

/** undefined: it is none, or is meant to be broken. */
function sentJson(body: unknown): unknown {
  try {
    return JSON.parse(body as string);
  } catch {
    return undefined;
  }
}
