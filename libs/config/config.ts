import ipaddr from 'ipaddr.js';
import { DEFAULT_SIDE } from '@app/models/family';
import { parseSize, type Size } from './size';
import { StorageVariables } from './storage.variables';

/**
 * Every environment variable of the service: the property is the variable, its initial value the default. One class in
 * files by topic, each of which extends the one before: Service-, Model-, Engine-, Job-, StorageVariables. Their comments
 * are the documentation: `npm run docs:config` writes `.env.example` and docs/configuration.md from them.
 */
export class Config extends StorageVariables {}

/** Names of all variables, in the order of the class. */
export const CONFIG_VARIABLES: readonly string[] = Object.keys(new Config());

/** Where copies of reference pictures are stored until their job is done. */
export const INPUTS = 'inputs/';

/** Where it is stored what was found in users' pictures. */
export const FACES = 'faces/';

export const isDemo = (config: Config): boolean => !config.MODEL_FILE && config.MODEL_PATH === 'demo';

/** Whether it is the address of something on the model hub: on HF_ENDPOINT or, whatever mirror that is, on the hub itself. */
export const isOnHub = (address: string, { HF_ENDPOINT }: Config): boolean =>
  ['huggingface.co', 'hf.co', hostOf(HF_ENDPOINT)].includes(hostOf(address)?.replace(/^www\./, ''));

const hostOf = (address: string): string | undefined =>
  /^https?:\/\/([^/?#]+)/i.exec(address)?.[1].toLowerCase();

/** Where traces go; undefined: nowhere, and none are made. */
export function tracesAddress(config: Config): string | undefined {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: whole } = config;
  if (config.OTEL_SDK_DISABLED) return undefined;
  return whole ?? (base && `${base.replace(/\/+$/, '')}/v1/traces`);
}

/** Whether callers need keys. */
export const hasKeys = ({ API_KEYS, API_KEYS_FILE }: Config): boolean =>
  API_KEYS !== undefined || API_KEYS_FILE !== undefined;

/** Connections of one address, and open requests of one key. */
export const connectionsPerCaller = ({ MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CALLER }: Config): number =>
  MAX_CONNECTIONS_PER_CALLER ?? Math.ceil(MAX_CONNECTIONS / 2);

/** Whether other machines may reach the routes, and without a key. A worker has only health. */
export const isOpenToOthers = (config: Config): boolean =>
  config.ROLE !== 'worker' && !hasKeys(config) && !isLoopback(config.HOST);

/** Whether it is a name or an address by which a machine reaches itself alone. */
export const isLoopback = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || (ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback');

/** What callers write before the service's paths, where a proxy takes it away: the path of SERVICE_URL. */
export const pathPrefix = ({ SERVICE_URL }: Config): string =>
  SERVICE_URL === undefined ? '' : new URL(SERVICE_URL).pathname.replace(/\/+$/, '');

/** Whether links to pictures lead to this service and are signed by it; else to the bucket, or all pictures are open. */
export const signsLinks = (config: Config): boolean =>
  hasKeys(config) && !(config.S3_BUCKET_NAME && config.URL_EXPIRY);

/** Whether this service can sign links where keys are needed. Its own secret is in DATA_DIR, for one process. */
export const canSign = (config: Config): boolean =>
  hasKeys(config) && (config.URL_SECRET !== undefined || config.REDIS_URL === undefined);

/** The size of a picture whose request names none. */
export function defaultSize(config: Config): Size {
  return (
    parseSize(config.DEFAULT_SIZE ?? '') ??
    (isDemo(config) ? { width: 128, height: 128 } : { width: DEFAULT_SIDE, height: DEFAULT_SIDE })
  );
}
