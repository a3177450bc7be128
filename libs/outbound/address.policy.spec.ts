import { AddressPolicy } from './address.policy';

describe(AddressPolicy.name, () => {
  const policy = new AddressPolicy(['192.168.7.0/24', 'fd00::/8', 'pictures.internal', '10.1.1.1']);

  it.each([
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.0.0.1',
    '192.168.0.1',
    '198.18.0.1',
    '203.0.113.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::1',
    '3fff::1',
    '4000::1',
    'fc00::1',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    'no address',
  ])('should refuse %s', (address) => {
    expect(policy.allows('host', address)).toBe(false);
  });

  it.each(['93.184.215.14', '1.1.1.1', '2606:4700:4700::1111', '::ffff:1.1.1.1'])(
    'should allow the public %s',
    (address) => {
      expect(policy.allows('host', address)).toBe(true);
    },
  );

  it('should allow what it was told to', () => {
    expect(policy.allows('host', '192.168.7.9')).toBe(true);
    expect(policy.allows('host', '::ffff:192.168.7.9')).toBe(true);
    expect(policy.allows('host', 'fd12::1')).toBe(true);
    expect(policy.allows('host', '10.1.1.1')).toBe(true);
    expect(policy.allows('host', '10.1.1.2')).toBe(false);
    expect(policy.allows('Pictures.Internal', '10.9.9.9')).toBe(true);
  });
});
