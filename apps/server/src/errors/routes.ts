import type { HttpAdapterHost } from '@nestjs/core';

export interface Route {
  /** As the router has it: `/v1/users/:user_id/avatar`. */
  readonly path: string;
  /** Upper case. */
  readonly methods: readonly string[];
}

/** The part of Express' router that is used here. */
interface Layer {
  readonly route?: { readonly path: string | string[]; readonly methods: Readonly<Record<string, boolean>> };
  match(path: string): boolean;
}

/** Nest binds middleware to routes of every method; CONNECT distinguishes them from routes that somebody wrote. */
const layers = (host: HttpAdapterHost): Layer[] =>
  host.httpAdapter
    .getInstance<{ router: { stack: Layer[] } }>()
    .router.stack.filter(({ route }) => route && !route.methods.connect);

const methodsOf = ({ route }: Layer): string[] =>
  Object.keys(route?.methods ?? {}).map((method) => method.toUpperCase());

/** Every route that the service answers, in the order of the router. */
export function listRoutes(host: HttpAdapterHost): Route[] {
  const routes = new Map<string, string[]>();
  for (const layer of layers(host)) {
    for (const path of [layer.route?.path ?? []].flat()) {
      routes.set(path, [...(routes.get(path) ?? []), ...methodsOf(layer)]);
    }
  }
  return [...routes].map(([path, methods]) => ({ path, methods }));
}

/** The methods that some route takes at this path; none: the path is unknown. Asks the router itself. */
export function methodsAt(host: HttpAdapterHost, path: string): string[] {
  const methods = new Set<string>();
  for (const layer of layers(host)) {
    if (matches(layer, path)) methodsOf(layer).forEach((method) => methods.add(method));
  }
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods];
}

/** The path of a route as the router has it, which a request with any method would come to; undefined: the path is unknown. */
export function templateAt(host: HttpAdapterHost, path: string): string | undefined {
  const layer = layers(host).find((other) => matches(other, path));
  return [layer?.route?.path].flat()[0];
}

function matches(layer: Layer, path: string): boolean {
  try {
    return layer.match(path);
  } catch {
    return false; // a broken percent code in a parameter
  }
}
