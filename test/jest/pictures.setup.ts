// A picture takes seconds on two cores, and more on a busy machine.
jest.setTimeout(180_000);
