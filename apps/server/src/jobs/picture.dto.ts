import type { Timings as JobTimings } from '@app/jobs';

export class PictureData {
  /**
   * Where the picture is stored; the bucket is `local` on local disk.
   * @example "s3://local/generated/user123/memory_0123456789abcdef01234567.png"
   */
  readonly s3_uri!: string;

  /**
   * Where to download it, without a key: from this service, or presigned from the bucket. Where links expire, the job
   * (`GET /v1/jobs/{id}`) has a fresh one each time.
   * @example "http://localhost:8000/images/generated/user123/memory_0123456789abcdef01234567.png"
   */
  readonly url!: string;

  /**
   * The seed that was used.
   * @example 42
   */
  readonly seed!: number;

  /**
   * `WIDTHxHEIGHT` in pixels.
   * @example "1024x1024"
   */
  readonly size!: string;
}

export class Timings implements JobTimings {
  /** Milliseconds that the job waited for the engine. */
  readonly queue_ms!: number;
  /** Encoding the prompts. */
  readonly text_ms!: number;
  /** Encoding the reference picture. */
  readonly image_ms!: number;
  /** All sampling steps. */
  readonly sampling_ms!: number;
  /** The VAE: latents to pixels. */
  readonly decode_ms!: number;
  /** Pixels to PNG. */
  readonly encode_ms!: number;
  /** Writing the PNG to the storage. */
  readonly store_ms!: number;
  /** All of it. */
  readonly total_ms!: number;
}

export class PictureReply {
  /**
   * When the picture was done, in Unix seconds.
   * @example 1767225600
   */
  readonly created!: number;

  /**
   * 24 hexadecimal digits; part of the picture's key.
   * @example "0123456789abcdef01234567"
   */
  readonly id!: string;

  /** The pictures: `n` of them, less those that were deleted. */
  readonly data!: PictureData[];

  /** Where the time went, in milliseconds. */
  readonly timings!: Timings;

  /** Sentences about what was made differently than asked, such as a LoRA that fits the model in part. */
  readonly warnings!: string[];
}
