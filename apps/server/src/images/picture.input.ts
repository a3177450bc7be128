/**
 * What clients of other services send as a picture, as `image` of our own requests has it: an address, a data URL, or base64
 * without a word of what it is, which the bytes tell anyway.
 */
export const toInput = (text: string): string =>
  /^(?:https?:|data:)/i.test(text) ? text : `data:;base64,${text}`;
