import { demoHint } from './demo.hint';

describe(demoHint.name, () => {
  it.each([true, false])('should call with a key where callers need one', (forPerson) => {
    expect(demoHint('http://localhost:8000', { keys: true, forPerson })).toContain(
      "-H 'authorization: Bearer YOUR_KEY'",
    );
    expect(demoHint('http://localhost:8000', { keys: false, forPerson })).not.toContain('authorization');
  });
});
