import { readParameters } from '../../../test/support/parameters.reader';
import { draft } from '../../../test/support/jobs';
import { generationOf } from '../generation';
import type { PictureJob } from '../picture.job';
import { parametersText } from './parameters.text';

const textOf = (picture: Partial<PictureJob> = {}, model = 'demo') =>
  parametersText(generationOf({ ...draft().picture, ...picture }, model));
const read = (...of: Parameters<typeof textOf>) => readParameters(textOf(...of));

describe(parametersText.name, () => {
  it('should be what AUTOMATIC1111 writes', () =>
    expect(textOf({ prompt: 'a fox', negativePrompt: 'blurry', clipSkip: 2, seed: 5 })).toBe(
      'a fox\nNegative prompt: blurry\n' +
        'Steps: 30, Sampler: Euler, Schedule type: Uniform, CFG scale: 5, Seed: 5, Size: 1024x1024, Model: demo, ' +
        'Clip skip: 2, Version: stable-diffusion.cpp',
    ));

  it('should bring its settings when it is dropped there', () =>
    expect(
      read({
        ...{ prompt: 'a (red:1.2) fox,\nBREAK 狐, Steps: none', negativePrompt: 'blurry,\nlow: quality' },
        ...{ sampler: 'dpm++2m', scheduler: 'karras', guidanceScale: 4.5, width: 640, height: 1536 },
        loras: [
          { name: 'film-grain', scale: 0.8, sha256: 'abcdef0123456789' },
          { name: 'night', scale: -1, sha256: '0123456789abcdef' },
        ],
      }),
    ).toEqual({
      Prompt: 'a (red:1.2) fox,\nBREAK 狐, Steps: none <lora:film-grain:0.8> <lora:night:-1>',
      'Negative prompt': 'blurry,\nlow: quality',
      Steps: '30',
      Sampler: 'DPM++ 2M',
      'Schedule type': 'Karras',
      'CFG scale': '4.5',
      Seed: '7',
      Size: '640x1536',
      Model: 'demo',
      'Lora hashes': 'film-grain: abcdef0123, night: 0123456789',
      Version: 'stable-diffusion.cpp',
    }));

  it('should say how much a picture counted that it came of', () => {
    expect(read({ referenceKey: 'inputs/a.png' })).toMatchObject({ 'IP-Adapter scale': '0.6' });
    expect(read({ imageKey: 'inputs/a.png', strength: 0.75 })).toMatchObject({
      'Denoising strength': '0.75',
    });
    expect(Object.keys(read())).not.toEqual(expect.arrayContaining(['IP-Adapter scale']));
  });

  it('should say how it became larger, as that program says it', () => {
    const hires = { scale: 1.5, width: 1536, height: 1536, steps: 12, strength: 0.4 };
    expect(read({ hires: { ...hires, upscaler: 'Latent' } })).toMatchObject({
      Size: '1024x1024',
      'Denoising strength': '0.4',
      'Hires upscale': '1.5',
      'Hires steps': '12',
      'Hires upscaler': 'Latent',
    });
    const sharp = { name: 'sharp', sha256: 'abc' };
    expect(
      read({ hires: { ...hires, model: sharp }, imageKey: 'inputs/a.png', strength: 0.75 }),
    ).toMatchObject({
      'Denoising strength': '0.75',
      'Hires denoising strength': '0.4',
      'Hires upscaler': 'sharp',
    });
    expect(read({ upscaler: sharp })).toMatchObject({ 'Postprocess upscaler': 'sharp' });
    expect(textOf()).not.toMatch(/Hires|Postprocess/);
  });

  it('should take a model with a comma in its name for one', () =>
    expect(read({}, 'own, "new": 1')).toMatchObject({ Model: 'own, "new": 1', Size: '1024x1024' }));

  it('should leave the engine’s name where AUTOMATIC1111 has none', () =>
    expect(read({ sampler: 'res_2s', scheduler: 'smoothstep' })).toMatchObject({
      Sampler: 'res_2s',
      'Schedule type': 'smoothstep',
    }));
});
