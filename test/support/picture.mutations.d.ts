/** What a picture is, for people, and its bytes. */
export interface HostilePicture {
  readonly name: string;
  readonly bytes: Buffer;
}

/**
 * Broken and hostile pictures. The same seed and number give the same one, whatever was asked for before; 3 in 100 are
 * bombs, which may take seconds and half a gigabyte of whoever decodes them.
 */
export function hostilePictures(seed: number): Promise<(index: number) => Promise<HostilePicture>>;
