import { writeSafetensors, type Tensor } from './safetensors';

/** The only width that the engine reads. */
const FEATURES = 64;
const GROWTH = 32;

/** A convolution that hands on its first three channels as they are. */
function passing(inputs: number, outputs: number): Tensor {
  const values = new Array<number>(outputs * inputs * 9).fill(0);
  for (let channel = 0; channel < 3; channel++) values[(channel * inputs + channel) * 9 + 4] = 1;
  return { shape: [outputs, inputs, 3, 3], values };
}

const layer = (name: string, weight: Tensor): Record<string, Tensor> => ({
  [`${name}.weight`]: weight,
  [`${name}.bias`]: { shape: [weight.shape[0]] },
});

/** The tensors of an ESRGAN model (RRDBNet) with one block of zeros, which enlarges each pixel to a square of its colour. */
export function upscalerTensors(factor: 1 | 2 | 4): Record<string, Tensor> {
  const tensors = {
    ...layer('conv_first', passing(3, FEATURES)),
    ...layer('conv_body', { shape: [FEATURES, FEATURES, 3, 3] }),
    ...(factor >= 2 && layer('conv_up1', passing(FEATURES, FEATURES))),
    ...(factor === 4 && layer('conv_up2', passing(FEATURES, FEATURES))),
    ...layer('conv_hr', passing(FEATURES, FEATURES)),
    ...layer('conv_last', passing(FEATURES, 3)),
  };
  for (let block = 1; block <= 3; block++) {
    for (let conv = 1; conv <= 5; conv++) {
      const outputs = conv === 5 ? FEATURES : GROWTH;
      const shape = [outputs, FEATURES + (conv - 1) * GROWTH, 3, 3];
      Object.assign(tensors, layer(`body.0.rdb${block}.conv${conv}`, { shape }));
    }
  }
  return tensors;
}

export const writeUpscaler = (path: string, factor: 1 | 2 | 4): Promise<void> =>
  writeSafetensors(path, upscalerTensors(factor));
