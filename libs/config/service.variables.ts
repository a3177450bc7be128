import { IsNotEmpty, IsOptional, Matches } from 'class-validator';
import { REDIS_ADDRESS } from './redis.address.rule';
import { Flag, HttpUrl, List, OneOf, Whole } from './rules';

/** Who reaches the service, and what this process does. */
export class ServiceVariables {
  // --- where it listens ---

  /** Address to listen on. The image sets 0.0.0.0; on a bare machine the service stays private. */
  @IsNotEmpty({ message: 'HOST must be an address to listen on, such as 127.0.0.1 or 0.0.0.0' })
  HOST = '127.0.0.1';

  /** TCP port. 0 takes a free one. */
  @Whole(0, 65_535)
  PORT = 8000;

  /**
   * Set: /health and /metrics are answered on this port of HOST, and only there. Unset: on PORT. 0 takes a free one.
   * @example 9000
   */
  @IsOptional()
  @Whole(0, 65_535)
  METRICS_PORT?: number;

  /**
   * Connections at a time; one more is answered where it asks for /health, else refused with 503. METRICS_PORT has as
   * many of its own.
   */
  @Whole(1, 65_535)
  MAX_CONNECTIONS = 2000;

  /**
   * How many of them one address may hold, and how many requests of one key, or without a key of an address, may be open
   * at a time; more are refused with 429. With TRUST_PROXY only requests are counted. Default: half of MAX_CONNECTIONS.
   * @example 100
   */
  @IsOptional()
  @Whole(1, 65_535)
  MAX_CONNECTIONS_PER_CALLER?: number;

  /**
   * The address that callers use, for links to pictures. Default: http://localhost:PORT.
   * @example https://images.example.com
   */
  @IsOptional()
  @HttpUrl()
  SERVICE_URL?: string;

  /**
   * Origins whose pages may call, separated by commas, or `*` alone for all. Unset: none (no CORS headers).
   * @example https://app.example.com
   */
  @List()
  @Matches(/^(\*|https?:\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?)$/, {
    each: true,
    message:
      'CORS_ORIGINS must be origins as browsers send them, such as https://app.example.com, separated by commas, or *',
  })
  CORS_ORIGINS: string[] = [];

  /**
   * Least level that is logged. At `info` the log holds each request and what the service does at its start and end;
   * `debug` adds how the application is put together, `warn` leaves only what needs somebody.
   */
  @OneOf('trace', 'debug', 'info', 'warn', 'error', 'silent')
  LOG_LEVEL = 'info';

  /** true: prompt and negative prompt of every accepted job are logged, with its id. Nothing else ever logs them. */
  @Flag()
  LOG_PROMPTS = false;

  // --- traces ---

  /**
   * Set: traces of requests and jobs go to this OpenTelemetry collector, at `/v1/traces` below it. What else is read of
   * OpenTelemetry's variables, in the environment or in `.env`, is in docs/operations.md: OTEL_SERVICE_NAME,
   * OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and others.
   * @example http://localhost:4318
   */
  @IsOptional()
  @HttpUrl()
  OTEL_EXPORTER_OTLP_ENDPOINT?: string;

  /**
   * The same as a whole address, before OTEL_EXPORTER_OTLP_ENDPOINT.
   * @example http://localhost:4318/v1/traces
   */
  @IsOptional()
  @HttpUrl()
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string;

  /** How traces are written. gRPC is not spoken: collectors take HTTP at port 4318. */
  @OneOf('http/protobuf', 'http/json')
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' | 'http/json' = 'http/protobuf';

  /** true: no traces, whatever else is set. */
  @Flag()
  OTEL_SDK_DISABLED = false;

  // --- who may call ---

  /**
   * Keys of callers as a JSON list of `{name, sha256, scopes, user_id?}`; `npm run key` makes a key and its entry. Unset,
   * and no API_KEYS_FILE: there are no keys, everybody may call.
   * @example []
   */
  @IsOptional()
  API_KEYS?: string;

  /**
   * A file with such a list; read again whenever it changes.
   * @example /etc/image-service/keys.json
   */
  @IsOptional()
  API_KEYS_FILE?: string;

  /**
   * true: everybody who reaches HOST may call, as long as there are no keys. Without it and without keys the service
   * listens only to its own machine. The image and the demo set true.
   */
  @Flag()
  ALLOW_ANONYMOUS = false;

  /** Requests a minute that one key may make; 0: any number. Health and metrics are not counted. */
  @Whole(0, 1_000_000)
  RATE_LIMIT_PER_KEY = 1000;

  /** The same for an address (IPv6: a /56) whose requests carry no key, or one that is not known. */
  @Whole(0, 1_000_000)
  RATE_LIMIT_PER_ADDRESS = 1000;

  /**
   * Proxies in front of the service, whose X-Forwarded-For is believed. With more than there are, callers choose the
   * address that they are counted by; with fewer, all of them share the proxy's.
   */
  @Whole(0, 16)
  TRUST_PROXY = 0;

  // --- the process ---

  /** `all`: everything in one process. `api` takes requests, `worker` draws; both need REDIS_URL and S3_BUCKET_NAME. */
  @OneOf('all', 'api', 'worker')
  ROLE: 'all' | 'api' | 'worker' = 'all';

  /**
   * Set: jobs are kept in this Redis, and several processes share them; S3_BUCKET_NAME has to be set, too. Unset: in
   * DATA_DIR. With sentinels: `redis+sentinel://HOST,HOST/NAME/DATABASE`, `?sentinelPassword=` where they want one.
   * `rediss` in place of `redis`: TLS. In a password %23 stands for #, %2F for /, %3F for ? and %25 for %.
   * @example redis://localhost:6379
   */
  @IsOptional()
  @Matches(REDIS_ADDRESS, {
    message:
      'REDIS_URL must be an address such as redis://localhost:6379/0, or redis+sentinel://localhost:26379/mymaster/0; in a password %23 stands for #, %2F for /, %3F for ? and %25 for %',
  })
  REDIS_URL?: string;

  /** Seconds that running pictures get to finish when the process is asked to end; what waits is left to the next one. */
  @Whole(0, 3600)
  DRAIN_SECONDS = 25;

  /**
   * Seconds for which a process that gets SIGTERM leaves its port open, at least: balancers send requests on until they hear
   * that it is not ready. Part of DRAIN_SECONDS, not on top. Ctrl-C and a second signal skip it; a worker takes no requests.
   */
  @Whole(0, 300)
  SHUTDOWN_DELAY = 5;
}
