import { describedFetch } from '../support/described.fetch';

// A picture takes seconds on two cores, and more on a busy machine.
jest.setTimeout(180_000);

/** Every reply of the service to these tests has to be as openapi.json says. */
globalThis.fetch = describedFetch(globalThis.fetch);
