/** In which images are stored and served; also the endings of their keys. */
export const OUTPUT_FORMATS = ['png', 'jpeg', 'webp'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** How an image becomes a file. */
export interface Output {
  readonly format: OutputFormat;
  /** 0..100 of JPEG and WebP, 100 being the largest file; PNG keeps every pixel. */
  readonly quality: number;
}

export const PNG: Output = { format: 'png', quality: 100 };

/** Of the image that is stored under `key`. Nothing there is ever served as a page, whatever others put there. */
export function contentTypeOf(key: string): string {
  const ending = key.slice(key.lastIndexOf('.') + 1);
  const format = OUTPUT_FORMATS.find((name) => name === ending) ?? 'png';
  return `image/${format}`;
}
