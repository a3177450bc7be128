import { IsNotEmpty, IsOptional, Matches } from 'class-validator';
import { Flag, HeaderText, HttpUrl, List, Loras, Prefix, Whole, type UsualLora } from './rules';
import { ServiceVariables } from './service.variables';

/** What is loaded, where it comes from, and what is drawn when a request does not say. */
export class ModelVariables extends ServiceVariables {
  // --- the model ---

  /**
   * The checkpoint: a hub repository (`owner/name`, `owner/name@revision` or `owner/name:file`, or the address of its page),
   * a folder, a file, or `demo`.
   */
  @IsNotEmpty({ message: 'MODEL_PATH must be a hub repository, a folder, a file or "demo"' })
  MODEL_PATH = 'stabilityai/stable-diffusion-xl-base-1.0';

  /**
   * A local checkpoint file; wins over MODEL_PATH.
   * @example /models/sd_xl_base_1.0.safetensors
   */
  @IsOptional()
  MODEL_FILE?: string;

  /**
   * A YAML file with several models, of which requests name one (`model`): docs/models.md. What is beside it here holds for
   * each of them that does not say otherwise. It is read again when it changes.
   * @example /etc/images/models.yaml
   */
  @IsOptional()
  MODELS_FILE?: string;

  /**
   * Other names, separated by commas, under which callers may ask for the model, or the first of MODELS_FILE: clients of OpenAI
   * name one of its own. A comma alone: none.
   */
  @List()
  MODEL_ALIASES = [
    'gpt-image-1',
    'gpt-image-1-mini',
    'gpt-image-1.5',
    'gpt-image-2',
    'chatgpt-image-latest',
    'dall-e-2',
    'dall-e-3',
  ];

  /**
   * A VAE that replaces the checkpoint's: a file, or a file of a hub repository (`owner/name:file`).
   * @example madebyollin/sdxl-vae-fp16-fix:sdxl_vae.safetensors
   */
  @IsOptional()
  VAE_PATH?: string;

  /**
   * The IP-Adapter: a file, or a file of a hub repository. Default for hub models: h94/IP-Adapter's SDXL ViT-H adapter.
   * @example h94/IP-Adapter:sdxl_models/ip-adapter_sdxl_vit-h.safetensors
   */
  @IsOptional()
  IP_ADAPTER_PATH?: string;

  /**
   * The IP-Adapter's image encoder (CLIP ViT-H), likewise. Default for hub models: the one beside that adapter.
   * @example h94/IP-Adapter:models/image_encoder/model.safetensors
   */
  @IsOptional()
  CLIP_VISION_PATH?: string;

  /**
   * PhotoMaker, version 1, another way to likeness (`identity`): a file, or a file of a hub repository, in the engine's
   * format. Its LoRA then counts in every image, so it changes those that are drawn without it.
   * @example bssrdf/PhotoMaker:photomaker-v1.safetensors
   */
  @IsOptional()
  PHOTO_MAKER_PATH?: string;

  /** false: memory and subject answer 422, generations takes no reference picture, and the adapter is not loaded. */
  @Flag()
  ENABLE_IP_ADAPTER = true;

  /** false: requests that name a LoRA answer 422. */
  @Flag()
  ENABLE_LORA = true;

  /**
   * Folder with LoRA files (`*.safetensors`). Default: the demo's for `demo`, else none.
   * @example /models/loras
   */
  @IsOptional()
  LORA_DIR?: string;

  /**
   * Instead of a folder: the files below this prefix of the bucket (S3_BUCKET_NAME) are the LoRAs. They are kept in
   * DATA_DIR/loras; what is put, replaced or deleted in the bucket is so there within half a minute.
   * @example loras/
   */
  @IsOptional()
  @Prefix()
  LORA_S3_PREFIX?: string;

  /**
   * true: `<lora:NAME:0.8>` in a prompt applies the LoRA, as other programs have it. false: such a tag is read as words, and
   * the caller is told of the field `loras`.
   */
  @Flag()
  LORA_TAGS = false;

  /** true: a LoRA of which only a part fits the model is an error, not a warning. */
  @Flag()
  LORA_STRICT = false;

  /**
   * Folder with ESRGAN models (`*.safetensors`), which requests name as `upscale` and `hires.upscaler`. Default: none.
   * @example /models/upscalers
   */
  @IsOptional()
  UPSCALER_DIR?: string;

  /**
   * Folder with textual inversion embeddings for SDXL (`*.safetensors` with `clip_l` and `clip_g`), read at the start. The
   * name of a file is a word for prompts. With any the text encoders take 0.5 GB more.
   * @example /models/embeddings
   */
  @IsOptional()
  EMBEDDINGS_DIR?: string;

  /**
   * Folder with ControlNets for SDXL (`*.safetensors` in diffusers' format), read at the start. Requests name them by their
   * files; one at a time is loaded, where a request asks for it.
   * @example /models/control-nets
   */
  @IsOptional()
  CONTROL_NET_DIR?: string;

  // --- the model hub ---

  /** Where hub repositories are downloaded from. */
  @HttpUrl()
  HF_ENDPOINT = 'https://huggingface.co';

  /** For gated or private repositories. Default: what HF_TOKEN_PATH holds. */
  @IsOptional()
  @HeaderText()
  HF_TOKEN?: string;

  /**
   * A file with the token. Default: where the hub's own tools leave it, `token` in HF_HOME or in `~/.cache/huggingface`.
   * @example /run/secrets/hf-token
   */
  @IsOptional()
  HF_TOKEN_PATH?: string;

  /** true: nothing is downloaded; what is not in HF_HOME is an error. */
  @Flag()
  HF_HUB_OFFLINE = false;

  /**
   * Where downloads are stored. Default: DATA_DIR/models.
   * @example /models
   */
  @IsOptional()
  HF_HOME?: string;

  // --- pictures ---

  /**
   * Size when a request names none, in multiples of 8. Default: 1024x1024; 128x128 for the demo.
   * @example 1024x1024
   */
  @IsOptional()
  @Matches(/^\d+x\d+$/, { message: 'DEFAULT_SIZE must be WIDTHxHEIGHT in multiples of 8 from 64 to 4096' })
  DEFAULT_SIZE?: string;

  /** Largest picture, width times height. */
  @Whole(4096, 16_777_216) // the smallest square, 64x64, to the largest, 4096x4096
  MAX_PIXELS = 2_097_152;

  /**
   * Longest prompt, and negative prompt, in characters. The text encoders read 75 tokens at once, of English about 300
   * characters: each piece takes 1 to 2 seconds on a processor and milliseconds on a GPU, and time in every step.
   */
  @Whole(100, 32_000)
  MAX_PROMPT_LENGTH = 10_000;

  /** Most pictures of one request (`n`). Drawn one after the other: they take the time of as many, and the memory of one. */
  @Whole(1, 16) // MAX_BATCH
  MAX_IMAGES = 4;

  /** What memory draws; `{prompt}` stands for the request's prompt. */
  @Matches(/\{prompt\}/, { message: 'MEMORY_PROMPT_TEMPLATE must hold {prompt}' })
  MEMORY_PROMPT_TEMPLATE = '{prompt}';

  /**
   * LoRAs of every picture of memory, beside those of the request, as NAME or NAME:SCALE (-2 to 2), separated by commas. A
   * `style` has its own instead.
   * @example house-style:0.8
   */
  @Loras()
  MEMORY_LORAS: UsualLora[] = [];

  /** What subject draws. */
  @IsNotEmpty({ message: 'SUBJECT_PROMPT must not be empty' })
  SUBJECT_PROMPT =
    'professional portrait photo, head and shoulders, business attire, soft studio light, neutral background, sharp focus';

  /**
   * LoRAs of every picture of subject, likewise.
   * @example studio:0.6,skin
   */
  @Loras()
  SUBJECT_LORAS: UsualLora[] = [];

  /**
   * A YAML file with ready-made looks (`style`) of memory and subject, beside those that are built in: docs/styles.md.
   * @example /etc/images/styles.yaml
   */
  @IsOptional()
  SUBJECT_STYLES?: string;

  /** The negative prompt when a request has none. */
  NEGATIVE_PROMPT = '';
}
