import { ApiProperty, OmitType } from '@nestjs/swagger';

export class HealthReply {
  /** `healthy` with status 200, `unhealthy` with 503. */
  readonly status!: 'healthy' | 'unhealthy';

  /**
   * For people; with 503 the reason.
   * @example "Image generation service is ready"
   */
  readonly message!: string;
}

class PartReport {
  /** Whether it serves. */
  readonly status!: 'up' | 'down';
}

/** What is not known yet is left out. */
class DeviceReport extends PartReport {
  /** What it does. */
  readonly state!: 'starting' | 'loading' | 'warming' | 'ready' | 'busy' | 'failed' | 'stopped';

  /** How much of the model is loaded, 0 to 100. */
  @ApiProperty({ format: 'double' })
  readonly percent?: number;

  /** What it waits for, or why it failed. */
  readonly reason?: string;

  /**
   * Of the engine's library.
   * @example "CUDA0"
   */
  readonly device?: string;

  /**
   * What the device calls itself.
   * @example "NVIDIA L4"
   */
  readonly description?: string;

  /** Whether the device is a GPU. */
  readonly gpu?: boolean;
}

export class EngineOriginReport {
  /**
   * Where the engine's library comes from.
   * @example "prebuilt cuda12"
   */
  readonly source!: string;

  /** Its commit of stable-diffusion.cpp. */
  readonly commit!: string;

  /** Its release and commit of stable-diffusion.cpp. */
  readonly version!: string;
}

export class BackEndReport {
  /**
   * What the engine can compute with.
   * @example "cuda"
   */
  readonly name!: string;

  /** Devices that it found. */
  readonly devices!: number;

  /** Why it found none. */
  readonly problem?: string;

  /** CUDA's least compute capability: the engine has no code for older cards. */
  @ApiProperty({ format: 'double', example: 7.5 })
  readonly least_capability?: number;
}

export class EngineReport extends OmitType(DeviceReport, ['status']) {
  /** From 0 on, as in the log and the metrics. */
  readonly id!: number;

  /** What of the model stays on the device, where not all of it does. */
  readonly memory_plan?: string;

  /** Which engine it is. */
  readonly engine?: EngineOriginReport;

  /** All that it found, by name. */
  readonly devices?: string[];

  /** What it could compute with. */
  readonly back_ends?: BackEndReport[];

  /** Whether it computes with flash attention. */
  readonly flash_attention?: boolean;

  /** Whether the VAE convolves directly. */
  readonly vae_direct_convolution?: boolean;

  /** Whether the UNet convolves directly. */
  readonly unet_direct_convolution?: boolean;
}

export class PipelineReport extends DeviceReport {
  /**
   * The model that is drawn with.
   * @example "demo"
   */
  readonly model!: string;

  /** Each engine of this process; what stands beside them is of the best of them. */
  readonly engines!: EngineReport[];
}

export class RecordsReport extends PartReport {
  /** Where jobs are kept. */
  readonly driver!: 'sqlite' | 'redis';

  /** Why they cannot be read or written. */
  readonly reason?: string;
}

export class StorageReport extends PartReport {
  /** Where pictures are stored. */
  readonly driver!: 'local' | 's3';

  /** Bytes of the disk of DATA_DIR that are free, where records or pictures are kept there. */
  readonly free_bytes?: number;

  /** Images that are drawn and wait until they can be stored. */
  readonly pictures?: number;

  /** Why nothing can be stored or read. */
  readonly reason?: string;
}

export class WorkerReport {
  /** The model that it draws with. */
  readonly model!: string;

  /** Its engines. */
  readonly engines!: number;
}

export class WorkersReport extends PartReport {
  /** Workers that were heard of lately. */
  readonly count!: number;

  /** What each of them says of itself. */
  readonly workers!: WorkerReport[];
}

export class ProcessReport extends PartReport {
  /** `draining`: it was asked to end. */
  readonly reason!: string;
}

/** What the work of this process depends on; which parts there are goes by its ROLE. */
export class ReadinessDetails {
  /** The engines; not with ROLE=api. */
  readonly pipeline?: PipelineReport;

  /** The records of jobs. */
  readonly records?: RecordsReport;

  /** The storage of pictures. */
  readonly storage?: StorageReport;

  /** Who draws; with ROLE=api. */
  readonly workers?: WorkersReport;

  /** Alone, once the process is asked to end. */
  readonly process?: ProcessReport;
}

export class ReadinessReport {
  /** `ok` with status 200; with 503 `error`, or `shutting_down` at the very end. */
  readonly status!: 'ok' | 'error' | 'shutting_down';

  /** The parts that serve. */
  readonly info!: ReadinessDetails;

  /** The parts that do not. */
  readonly error!: ReadinessDetails;

  /** All parts. */
  readonly details!: ReadinessDetails;
}

export class LivenessReport {
  /** Always `ok`. */
  @ApiProperty({ enum: ['ok'] })
  readonly status!: 'ok';

  /** Empty. */
  @ApiProperty({ type: 'object', additionalProperties: false })
  readonly info!: object;

  /** Empty. */
  @ApiProperty({ type: 'object', additionalProperties: false })
  readonly error!: object;

  /** Empty. */
  @ApiProperty({ type: 'object', additionalProperties: false })
  readonly details!: object;
}
