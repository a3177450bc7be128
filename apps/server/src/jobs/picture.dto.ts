import { ApiProperty } from '@nestjs/swagger';
import type { Generation, Timings as JobTimings } from '@app/jobs';

/** What can be made of a picture before a ControlNet sees it. */
export const PREPROCESSORS = ['canny'] as const;

/** Not a whole number, which fields of replies are taken for. */
const DECIMAL = { type: 'number', format: 'double' } as const;

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

  /**
   * How like its face is to that in the reference picture, 0 to 1: two photos of one person have 0.8 and more, of two persons
   * less than 0.5. null: not measured (the service's FACE_DESCRIPTORS), no face in one of them, or no reference picture.
   */
  @ApiProperty({ ...DECIMAL, nullable: true, example: 0.83 })
  readonly likeness!: number | null;
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
  /** The VAE: latents to pixels; with `upscale` those to more. */
  readonly decode_ms!: number;
  /**
   * Looking for faces and comparing them, as far as the job waited for it; with `face_detail` also for those to paint. Left
   * out: drawn by an earlier version.
   */
  readonly faces_ms?: number;
  /** Pixels to a file. */
  readonly encode_ms!: number;
  /** Writing it to the storage. */
  readonly store_ms!: number;
  /** All of it. */
  readonly total_ms!: number;
}

export class AppliedLora {
  /**
   * Its name in `loras`.
   * @example "film-grain"
   */
  readonly name!: string;
  /** Strength. */
  @ApiProperty(DECIMAL)
  readonly scale!: number;
  /** Of the file, in hexadecimal. */
  readonly sha256!: string;
}

export class SecondSampling {
  /** By how much the sides grew; to the nearest multiples of 8. */
  @ApiProperty(DECIMAL)
  readonly scale!: number;
  /** Sampling steps. */
  readonly steps!: number;
  /** How much of the first picture was changed. */
  @ApiProperty(DECIMAL)
  readonly strength!: number;
  /**
   * How it became larger.
   * @example "Latent"
   */
  readonly upscaler!: string;
}

export class UsedControl {
  /**
   * The ControlNet's name.
   * @example "canny"
   */
  readonly name!: string;
  /** Strength. */
  @ApiProperty(DECIMAL)
  readonly strength!: number;
  /** What was made of the picture for it; null: nothing. */
  @ApiProperty({ enum: PREPROCESSORS, nullable: true })
  readonly preprocess!: string | null;
}

export class UsedFaceDetail {
  /** Of the schedule. */
  readonly steps!: number;
  /** How much of the face was changed. */
  @ApiProperty(DECIMAL)
  readonly strength!: number;
}

export class GenerationReply implements Generation {
  /**
   * The model's name.
   * @example "stabilityai/stable-diffusion-xl-base-1.0"
   */
  readonly model!: string;
  /** The whole prompt, in `memory` and `subject` with the service's own words. */
  readonly prompt!: string;
  /** What it should not show. */
  readonly negative_prompt!: string;
  /**
   * `WIDTHxHEIGHT` in pixels, as it was asked for: before `hires` and `upscale`.
   * @example "1024x1024"
   */
  readonly size!: string;
  /** Sampling steps. */
  readonly num_inference_steps!: number;
  /**
   * By the engine's name.
   * @example "euler"
   */
  readonly sampler!: string;
  /**
   * By the engine's name.
   * @example "discrete"
   */
  readonly scheduler!: string;
  /** How closely it follows the prompt. */
  @ApiProperty(DECIMAL)
  readonly guidance_scale!: number;
  /** Of the first picture; each other has one more than that before it. */
  readonly seed!: number;
  /** null: the model's own. */
  readonly clip_skip!: number | null;
  /**
   * What guessed some steps from earlier ones; null: nothing.
   * @example "spectrum"
   */
  readonly cache!: string | null;
  /** Those that were applied. */
  readonly loras!: AppliedLora[];
  /** null: drawn without a reference picture, or with PhotoMaker. */
  @ApiProperty({ ...DECIMAL, nullable: true })
  readonly ip_adapter_scale!: number | null;
  /** null: drawn without PhotoMaker. */
  @ApiProperty({ ...DECIMAL, nullable: true })
  readonly identity_strength!: number | null;
  /** How much of the picture that it began from was changed; null: it began from none. */
  @ApiProperty({ ...DECIMAL, nullable: true })
  readonly strength!: number | null;
  /** The second sampling at a larger size; null: none. */
  readonly hires!: SecondSampling | null;
  /**
   * The model that enlarged what was drawn; null: none.
   * @example "RealESRGAN_x4plus"
   */
  readonly upscale!: string | null;
  /** How the largest face was painted again; null: it was not asked for. */
  @ApiProperty({ type: UsedFaceDetail, nullable: true })
  readonly face_detail!: UsedFaceDetail | null;
  /** null: no ControlNet guided it. */
  @ApiProperty({ type: UsedControl, nullable: true })
  readonly control!: UsedControl | null;
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

  /** Pictures that were drawn to choose from: up to `candidates`. `timings` are those of all. */
  readonly tries!: number;

  /** Where the time went, in milliseconds. */
  readonly timings!: Timings;

  /** Sentences about what was made differently than asked, such as a LoRA that fits the model in part. */
  readonly warnings!: string[];

  /**
   * What made the pictures, in the words of requests: with the same model, the same again gives them again. null: not told
   * (the service's EMBED_PARAMETERS).
   */
  readonly generation!: GenerationReply | null;
}
