import { AddressPolicy } from './address.policy';

describe(AddressPolicy.name, () => {
  const policy = new AddressPolicy(['192.168.7.0/24', 'fd00::/8', 'pictures.internal', '10.1.1.1']);

  it.each([
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '100.64.0.1',
    '100.100.100.200',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '168.63.129.16',
    '192.0.0.1',
    '192.0.0.192',
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
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    'no address',
  ])('should refuse %s', (address) => {
    expect(policy.allows('host', address, 80)).toBe(false);
  });

  it.each(['93.184.215.14', '1.1.1.1', '2606:4700:4700::1111', '::ffff:1.1.1.1'])(
    'should allow the public %s',
    (address) => {
      expect(policy.allows('host', address, 80)).toBe(true);
    },
  );

  it('should allow the public on the ports of the web only', () => {
    const ports = [1, 21, 22, 25, 79, 81, 442, 444, 6379, 8000, 8080, 8443, 65535];
    for (const port of ports) expect(policy.allows('host', '1.1.1.1', port)).toBe(false);
    expect(policy.allows('host', '1.1.1.1', 443)).toBe(true);
  });

  it('should allow any port where it was told to', () => {
    expect(policy.allows('pictures.internal', '10.9.9.9', 9000)).toBe(true);
    expect(policy.allows('host', '192.168.7.9', 9000)).toBe(true);
    expect(policy.allows('host', '192.168.8.9', 9000)).toBe(false);
  });

  it('should allow what it was told to', () => {
    expect(policy.allows('host', '192.168.7.9', 80)).toBe(true);
    expect(policy.allows('host', '::ffff:192.168.7.9', 80)).toBe(true);
    expect(policy.allows('host', 'fd12::1', 80)).toBe(true);
    expect(policy.allows('host', '10.1.1.1', 80)).toBe(true);
    expect(policy.allows('host', '10.1.1.2', 80)).toBe(false);
    expect(policy.allows('Pictures.Internal', '10.9.9.9', 80)).toBe(true);
  });
});
