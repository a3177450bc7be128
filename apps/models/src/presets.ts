import {
  CLIP_VISION,
  IP_ADAPTER,
  IP_ADAPTER_PLUS,
  IP_ADAPTER_PLUS_FACE,
  SDXL_BASE,
  SDXL_VAE,
} from '@app/models/family';

interface Preset {
  /** As names of the hub. */
  readonly files: readonly string[];
  /** What to set so that the service takes them; its defaults need nothing. */
  readonly variables: Readonly<Record<string, string>>;
}

/** Files that belong together. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  sdxl: { files: [SDXL_VAE, IP_ADAPTER, CLIP_VISION, SDXL_BASE], variables: {} },
  plus: { files: [IP_ADAPTER_PLUS, CLIP_VISION], variables: { IP_ADAPTER_PATH: IP_ADAPTER_PLUS } },
  'plus-face': {
    files: [IP_ADAPTER_PLUS_FACE, CLIP_VISION],
    variables: { IP_ADAPTER_PATH: IP_ADAPTER_PLUS_FACE },
  },
};
