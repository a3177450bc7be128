/** A function that asks for the wish, one question at a time, and reports when the answer has changed; it is "no" at first. */
export function onChange(wish: () => Promise<boolean>, tell: (on: boolean) => void): () => void {
  let told = false;
  let asking = false;
  const ask = async () => {
    const on = await wish();
    if (on !== told) tell((told = on));
  };
  return () => {
    if (asking) return;
    asking = true;
    ask()
      .catch(() => {}) // a picture does not fail for its previews; the next progress asks again
      .finally(() => (asking = false));
  };
}
