import { IsNotEmpty, IsOptional, Matches, MinLength } from 'class-validator';
import { JobVariables } from './job.variables';
import { Flag, HeaderText, Hosts, HttpUrl, Prefix, Whole } from './rules';

/** Where pictures come from, where they are stored, and how callers get them. */
export class StorageVariables extends JobVariables {
  // --- links to pictures ---

  /**
   * Seconds that a link to a picture opens it; at most a week, as S3 has it. With a bucket links lead to it and are
   * presigned (those made with temporary credentials end with these); else, where callers need keys, links lead
   * to this service and are signed by it. Unset: nothing is presigned, and what this service signs opens for a day.
   * Without a bucket and without keys links do not expire.
   * @example 3600
   */
  @IsOptional()
  @Whole(1, 604_800)
  URL_EXPIRY?: number;

  /**
   * Signs links to this service's own pictures, where callers need keys: 32 characters or more. Unset: made once and kept
   * in DATA_DIR. To be set with REDIS_URL: each process opens what another has signed.
   */
  @IsOptional()
  @MinLength(32, {
    message: 'URL_SECRET must be at least 32 characters, such as `openssl rand -base64 32` makes',
  })
  URL_SECRET?: string;

  // --- storage ---

  /** Records and local pictures. */
  @IsNotEmpty({ message: 'DATA_DIR must be a folder' })
  DATA_DIR = 'data';

  /** With less free disk for DATA_DIR, in megabytes, no job is accepted and the process is not ready. 0: whatever is free. */
  @Whole(0, 100_000_000)
  MIN_FREE_DISK_MB = 512;

  /**
   * Where the demo checkpoint is unpacked (400 MB). Default: DATA_DIR/demo.
   * @example /var/cache/demo
   */
  @IsOptional()
  DEMO_CACHE?: string;

  /**
   * Set: pictures are stored in this bucket. Unset: under DATA_DIR.
   * @example my-pictures
   */
  @IsOptional()
  @Matches(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, {
    message: 'S3_BUCKET_NAME must be a bucket name: 3 to 63 of a-z, 0-9, "." and "-"',
  })
  S3_BUCKET_NAME?: string;

  /**
   * Any S3 server. Default: AWS.
   * @example http://localhost:9000
   */
  @IsOptional()
  @HttpUrl()
  S3_ENDPOINT?: string;

  /**
   * Where callers reach that server, for links to the bucket (URL_EXPIRY). Default: S3_ENDPOINT.
   * @example https://pictures.example.com
   */
  @IsOptional()
  @HttpUrl()
  S3_PUBLIC_ENDPOINT?: string;

  /**
   * Where the bucket's name goes in addresses of the server. true: into the path (`https://s3.example.com/my-pictures/`),
   * which AWS and most servers take; false: before the host (`https://my-pictures.s3.example.com/`), which some insist on.
   * Default: true with S3_ENDPOINT, except at Alibaba (aliyuncs.com) and Tencent (myqcloud.com).
   * @example false
   */
  @IsOptional()
  @Flag()
  S3_PATH_STYLE?: boolean;

  /** The bucket's region. */
  @Matches(/^[\w.-]+$/, { message: 'AWS_REGION must be a region name, such as us-east-1' })
  AWS_REGION = 'us-east-1';

  /** With AWS_SECRET_ACCESS_KEY. Unset: the SDK's own chain (instance role, profile, ...). */
  @IsOptional()
  @HeaderText()
  AWS_ACCESS_KEY_ID?: string;

  /** With AWS_ACCESS_KEY_ID. */
  @IsOptional()
  @HeaderText()
  AWS_SECRET_ACCESS_KEY?: string;

  /** The third part of temporary credentials, beside the two keys. It expires with them: a role renews itself. */
  @IsOptional()
  @HeaderText()
  AWS_SESSION_TOKEN?: string;

  /** Folder of the avatars that memory draws from. */
  @Prefix()
  S3_AVATAR_PREFIX = 'avatars/';

  /** Folder of the photos that subject draws from. */
  @Prefix()
  S3_SUBJECT_PREFIX = 'subjects/';

  /** Folder of the pictures that were drawn. */
  @Prefix()
  S3_GENERATED_PREFIX = 'generated/';

  // --- what pictures tell ---

  /**
   * true: prompts and settings are written into each picture that is drawn, where AUTOMATIC1111, ComfyUI and Civitai read
   * them, and into its reply (`generation`). Whether or not, pictures tell that they were generated, as laws ask (IPTC's
   * DigitalSourceType).
   */
  @Flag()
  EMBED_PARAMETERS = true;

  // --- faces ---

  /**
   * true: faces are looked for in avatars and photos, what the model sees of these follows the largest, and callers are told
   * what was found (`GET /v1/users/{user_id}/photo?view=info`). A process of its own does it, on this machine, when the
   * first picture comes, and takes 200 MB; another looks at the portraits that are drawn, and `warnings` say which show none.
   * false, or without the optional package `@vladmandic/human`: the middle is seen, and nobody looks.
   */
  @Flag()
  FACE_DETECTION = true;

  /**
   * true: the face of what is drawn from a picture is compared with that in the picture, and callers are told how alike they
   * are (`likeness`), and may have the most like of several drawn. It takes a descriptor of each face, which is compared
   * and forgotten, never stored. false, or without FACE_DETECTION: `likeness` is null, `candidates` and `min_likeness` are refused.
   */
  @Flag()
  FACE_DESCRIPTORS = true;

  // --- pictures from outside ---

  /**
   * Hosts, addresses or CIDRs, separated by commas, that reference URLs may reach although they are private, and on any
   * port; callers learn from the answers what listens there. Elsewhere they reach public addresses on ports 80 and 443
   * only.
   * @example 10.0.0.0/8,media.internal
   */
  @Hosts()
  REFERENCE_URL_ALLOW: string[] = [];
}
