import type { Style } from './style.dto';

const PHOTO_FAULTS =
  'illustration, painting, cartoon, 3d render, plastic skin, cropped head, watermark, text';

/** Looks that SDXL draws well without any other file; docs/styles.md says why each is as it is. */
export const BUILT_IN_STYLES: readonly Style[] = [
  {
    name: 'studio-portrait',
    description: 'A photo from a studio: soft light, dark ground, sharp eyes',
    prompt:
      'studio portrait photo of a person, head and shoulders, softbox light from one side, dark grey backdrop, ' +
      '85mm lens, shallow depth of field, natural skin texture, sharp focus on the eyes',
    options: {
      negative_prompt: PHOTO_FAULTS,
      size: '896x1152',
      ip_adapter_scale: 0.7,
    },
  },
  {
    name: 'business-headshot',
    description: 'A square photo for a profile at work: business attire, friendly, a bright office behind',
    prompt:
      'professional headshot photo of a person, head and shoulders, facing the camera, friendly and confident, ' +
      'business attire, soft window light, blurred bright office background, sharp focus on the eyes',
    options: {
      negative_prompt: PHOTO_FAULTS,
      size: '1024x1024',
      ip_adapter_scale: 0.7,
    },
  },
  {
    name: 'watercolour',
    description: 'Hand-painted: loose brush strokes and soft washes on white paper',
    prompt: `watercolour painting of {prompt}, loose brush strokes, soft washes of colour, white paper texture`,
    options: {
      negative_prompt: 'photo, photorealistic, 3d render, hard outlines, frame, watermark, text',
      guidance_scale: 7,
      ip_adapter_scale: 0.5,
    },
  },
  {
    name: 'comic',
    description: 'A page of a comic: bold ink outlines, flat colours, halftone shading',
    prompt: 'comic book illustration of {prompt}, bold ink outlines, flat colours, halftone shading',
    options: {
      negative_prompt: 'photo, photorealistic, 3d render, speech bubble, several panels, watermark, text',
      guidance_scale: 7,
      ip_adapter_scale: 0.5,
    },
  },
  {
    name: 'black-and-white',
    description: 'A black and white photo: light from one side, deep contrast, fine grain',
    prompt: 'black and white photo of {prompt}, dramatic light from one side, deep contrast, fine film grain',
    options: {
      negative_prompt: `colour, colorful, sepia, ${PHOTO_FAULTS}`,
    },
  },
];
