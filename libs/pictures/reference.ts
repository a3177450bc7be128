/** Side of the square RGB picture that the IP-Adapter's image encoder (CLIP ViT) reads, in pixels. */
export const REFERENCE_SIDE = 224;
