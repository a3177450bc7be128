/** What is measured, the most important first. A group is a process with load options of its own. */

/** @typedef {import('../../native/index.js').LoadOptions} LoadOptions */
/** @typedef {import('../../native/index.js').GenerateOptions} GenerateOptions */
/** @typedef {import('../../native/index.js').Device} Device */
/** @typedef {Required<Pick<LoadOptions, 'flashAttention' | 'vaeDirectConvolution' | 'unetDirectConvolution' | 'loraMode'>>} Settings */

/**
 * `steps`: a number; by default all that were asked for; `few`: as many as fit into FEW_SECONDS, by the warm-up.
 * `warmUp`: where it fails nothing else of the group is tried. `lora`: none, one, or another set. `times`: its side, as a
 * multiple of the usual one; `side`: in pixels. `change` is held against `plain`, which has as many steps.
 *
 * @typedef {{ what: string, steps?: number | 'few', warmUp?: boolean, lora?: 'one' | 'other', avatar?: boolean,
 *   times?: number, side?: number, again?: boolean, plain?: boolean, change?: boolean, hires?: boolean,
 *   options?: Partial<GenerateOptions>, gpuOnly?: boolean }} Picture
 */
/** @typedef {{ id: string, about: string, settings: Settings, pictures: Picture[] }} Group */

/** A slow kernel must not eat the time: these seconds tell enough of it. */
export const FEW_SECONDS = 15;

/** @type {Picture} */
const WARM_UP = { what: 'warm-up', steps: 1, warmUp: true };

/**
 * @param {Device} device
 * @param {string} source of the engine
 * @returns {Group[]}
 */
export function plan({ gpu, name }, source) {
  // As the service chooses (apps/engine/src/device.settings.ts).
  const kernelIsKnown = !name.startsWith('CUDA') || source.startsWith('prebuilt');
  /** @type {Settings} */
  const usual = {
    flashAttention: gpu,
    vaeDirectConvolution: gpu && kernelIsKnown,
    unetDirectConvolution: false,
    loraMode: 'runtime',
  };
  const other = (/** @type {boolean} */ on) => (on ? 'without' : 'with');
  return [
    {
      id: 'usual',
      about: 'settings as the service chooses them',
      settings: usual,
      pictures: [
        { what: 'first picture', warmUp: true },
        { what: 'second picture, the same', again: true },
        { what: 'half the side', times: 0.5 },
        { what: '4 steps LCM, guidance 1', steps: 4, options: { sampler: 'lcm', guidanceScale: 1 } },
        { what: 'LoRA at runtime, its first picture', steps: 4, lora: 'one' },
        { what: 'LoRA at runtime', lora: 'one' },
        { what: 'avatar', avatar: true },
        { what: '2 at once', options: { count: 2 } },
        { what: '4 at once', options: { count: 4 } },
        { what: 'with previews', options: { previews: true } },
        { what: 'hires: twice half the side, 15 steps', times: 0.5, hires: true },
        { what: 'cache ucache', options: { cache: 'ucache' } },
        { what: 'cache spectrum', options: { cache: 'spectrum' } },
        { what: 'cache easycache', options: { cache: 'easycache' } },
        { what: 'twice the pixels', times: 1.375 },
        { what: 'decoding in tiles', steps: 1, options: { vaeTiling: true } },
      ],
    },
    { id: 'right', about: "the processor's picture beside it", settings: usual, pictures: [] },
    {
      id: 'attention',
      about: `${other(usual.flashAttention)} flash attention`,
      settings: { ...usual, flashAttention: !usual.flashAttention },
      pictures: [WARM_UP, { what: 'picture', steps: 'few' }],
    },
    {
      id: 'vae',
      about: `${other(usual.vaeDirectConvolution)} direct convolution in the VAE`,
      settings: { ...usual, vaeDirectConvolution: !usual.vaeDirectConvolution },
      pictures: [WARM_UP, { what: 'one step and the decoding', steps: 1 }],
    },
    {
      id: 'unet',
      about: 'with direct convolution in the UNet',
      settings: { ...usual, unetDirectConvolution: true },
      pictures: [WARM_UP, { what: 'picture', steps: 'few' }],
    },
    {
      id: 'merged',
      about: 'LoRAs merged into the weights',
      settings: { ...usual, loraMode: 'merged' },
      pictures: [
        WARM_UP,
        { what: 'no set yet', steps: 4, plain: true },
        { what: 'set changes: none to one', steps: 4, lora: 'one', change: true },
        { what: 'the same set', steps: 'few', lora: 'one' },
        { what: 'set changes: one to another', steps: 4, lora: 'other', change: true },
        { what: 'set changes: back to none', steps: 4, change: true },
      ],
    },
    { id: 'peer', about: 'PyTorch on the same card', settings: usual, pictures: [] },
    {
      id: 'memory',
      about: 'out of memory on purpose',
      settings: { ...usual, flashAttention: false },
      pictures: [
        { what: 'before', times: 0.5, steps: 1 },
        // Scores of the widest attention alone: (256 x 256)^2 x 10 heads x 4 bytes = 172 GB.
        { what: 'more than any card has', side: 4096, steps: 1, gpuOnly: true },
        { what: 'afterwards', times: 0.5, steps: 1 },
      ],
    },
  ];
}
