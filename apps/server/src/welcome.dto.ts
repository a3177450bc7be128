export class WelcomeReply {
  /**
   * The service.
   * @example "sdxl-image-service"
   */
  readonly name!: string;

  /**
   * Its version.
   * @example "0.2.0"
   */
  readonly version!: string;

  /** What it does. */
  readonly message!: string;

  /**
   * The page that describes every field.
   * @example "/docs"
   */
  readonly docs!: string;

  /**
   * Method and path of every route.
   * @example ["POST /v1/images/memory"]
   */
  readonly endpoints!: string[];
}
