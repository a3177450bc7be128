import { parsePrefer } from './prefer';

const neither = { respondAsync: false };

describe(parsePrefer.name, () => {
  it.each<[string, object]>([
    // The examples of RFC 7240, sections 2 and 4.
    ['foo; bar', neither],
    ['foo; bar=""', neither],
    ['foo=""; bar', neither],
    ['respond-async, wait=100, handling=lenient', { respondAsync: true, wait: 100 }],
    ['respond-async, wait=10', { respondAsync: true, wait: 10 }],
    ['respond-async', { respondAsync: true }],
    ['wait=10', { respondAsync: false, wait: 10 }],
    ['return=minimal; foo="some parameter"', neither],
    ['handling=lenient', neither],
  ])('should read %j', (header, expected) => {
    expect(parsePrefer(header)).toEqual(expected);
  });

  it('should read several header lines as one', () => {
    const one = parsePrefer('respond-async, wait=100, handling=lenient');
    expect(parsePrefer(['respond-async', 'wait=100', 'handling=lenient'])).toEqual(one);
    expect(parsePrefer(['handling="never closed', 'wait=7'])).toEqual({ respondAsync: false, wait: 7 });
  });

  it.each<[string, object]>([
    ['Respond-Async, WAIT=5', { respondAsync: true, wait: 5 }],
    ['respond-async=""', { respondAsync: true }],
    ['respond-async;timeout=3, wait = "20" ; unit=s', { respondAsync: true, wait: 20 }],
    [String.raw`wait="1\2"`, { respondAsync: false, wait: 12 }],
    ['wait=0', { respondAsync: false, wait: 0 }],
    [' ,, respond-async ,', { respondAsync: true }],
    ['note="a, respond-async", wait=1', { respondAsync: false, wait: 1 }],
    [String.raw`note="say \", respond-async"`, neither],
    ['foo; respond-async', neither],
    ['foo; note=", respond-async"', neither],
  ])('should take the grammar at its word in %j', (header, expected) => {
    expect(parsePrefer(header)).toEqual(expected);
  });

  it('should let the first of a name count, whatever its value', () => {
    expect(parsePrefer('wait=5, wait=10')).toEqual({ respondAsync: false, wait: 5 });
    expect(parsePrefer(['wait=soon', 'wait=10'])).toEqual(neither);
  });

  it.each(['wait', 'wait=', 'wait=-1', 'wait=1.5', 'wait=1e3', 'wait=ten', 'wait="5', 'wait=1 2', 'wait=٣'])(
    'should pass over %j',
    (header) => {
      expect(parsePrefer(header)).toEqual(neither);
    },
  );

  it.each([undefined, '', [], '""', '=5', 'respond async', '"respond-async"', 'respond-async=no', '\\'])(
    'should find nothing in %j',
    (header) => {
      expect(parsePrefer(header)).toEqual(neither);
    },
  );

  it('should count what follows something malformed', () => {
    expect(parsePrefer('a b, =c, wait=3')).toEqual({ respondAsync: false, wait: 3 });
  });

  it('should keep a number that has no end a number', () => {
    expect(parsePrefer(`wait=${'9'.repeat(400)}`).wait).toBe(Number.MAX_SAFE_INTEGER);
  });
});
