/** Parts of picture files, written by hand where no encoder would write them. */
export function pngChunk(name: string, data?: Buffer): Buffer;
export function jpegSegment(marker: number, data?: Buffer): Buffer;
export function webpChunk(name: string, data?: Buffer): Buffer;
export function webp(...chunks: Buffer[]): Buffer;
export function partsOf(bytes: Buffer): Buffer[];
export function flatPng(
  side: number,
  options?: { depth?: 8 | 16; colour?: 0 | 2 | 4 | 6; interlace?: 0 | 1 },
): Buffer;
export function withTexts(png: Buffer, count: number, late?: boolean): Buffer;
export function withSegments(jpeg: Buffer, segment: Buffer, count: number): Buffer;
export function withScans(progressive: Buffer, count: number): Buffer;
export function webpOfTables(side: number): Buffer;
