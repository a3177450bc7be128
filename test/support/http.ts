import request from 'supertest';

/** supertest over an address. Its types do not know that it takes one. */
export const http = (address: string) => request(address as unknown as Parameters<typeof request>[0]);
