import { DEFAULT_LORA_SCALE, MAX_LORA_SCALE } from '@app/models/family';
import { Decimal, Optional } from '../validation/fields';
import { LoraName } from '../validation/name.fields';

export class LoraOption {
  /** The name of a LoRA, as `GET /v1/loras` lists it. */
  @LoraName()
  readonly name!: string;

  /** Strength; negative values push away from what it learned. */
  @Optional()
  @Decimal(-MAX_LORA_SCALE, MAX_LORA_SCALE, { default: DEFAULT_LORA_SCALE })
  readonly scale?: number;
}
