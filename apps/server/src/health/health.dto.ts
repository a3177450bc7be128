export class HealthReply {
  /** `healthy` with status 200, `unhealthy` with 503. */
  readonly status!: 'healthy' | 'unhealthy';

  /**
   * For people; with 503 the reason.
   * @example "Image generation service is ready"
   */
  readonly message!: string;
}
