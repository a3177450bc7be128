import { redisAddress } from './redis.address';

describe(redisAddress.name, () => {
  it.each([
    ['redis://ann:p@ss:w@redis.example:6380/2', 'p@ss:w'],
    ['redis://ann:p%40%23%2F%3F%25@redis.example:6380/2', 'p@#/?%'],
  ])('should read the password of %s', (url, password) =>
    expect(redisAddress(url)).toEqual({
      host: 'redis.example',
      port: 6380,
      username: 'ann',
      password,
      db: 2,
    }),
  );
});
