import { ModelError } from './model.error';
import { readSafetensors } from './safetensors';

/** Of both versions, and of the second alone. */
const OWN = 'fuse_module.mlp1.fc1.weight';
const OF_VERSION_2 = /^qformer_perceiver\./;

/** What the engine would take for another version, or do without and say so in its log alone. Throws ModelError. */
export async function expectPhotoMaker(path: string): Promise<string> {
  const refuse = (sentence: string) => {
    throw new ModelError(`PHOTO_MAKER_PATH ${sentence}`);
  };
  if (!/\.safetensors$/i.test(path))
    refuse("must be a *.safetensors file in the engine's format: bssrdf/PhotoMaker has it.");
  const names = [...(await readSafetensors(path)).tensors.keys()];
  if (names.some((name) => OF_VERSION_2.test(name))) {
    refuse(
      'is PhotoMaker 2, which needs a file for each person that InsightFace makes, whose models are not for commercial ' +
        'use: set version 1 (bssrdf/PhotoMaker:photomaker-v1.safetensors).',
    );
  }
  if (!names.includes(OWN)) refuse(`is no PhotoMaker in the engine's format: it has no ${OWN}.`);
  if (path.includes('v2'))
    refuse(
      'must not have "v2" in its path: by that the engine takes it for version 2. Rename the file or folder.',
    );
  return path;
}
