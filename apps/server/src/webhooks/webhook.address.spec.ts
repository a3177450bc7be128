import { loadConfig } from '@app/config';
import { resolveTo } from '../../../../test/support/name.server';
import { WebhookAddress } from './webhook.address';

const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;

const addresses = (variables: Record<string, string> = {}) =>
  new WebhookAddress(loadConfig({ WEBHOOK_SECRET, ...variables }));
const invalid = (message: RegExp) => ({
  code: 'invalid_request',
  param: 'webhook_url',
  message: expect.stringMatching(message) as string,
});

describe(WebhookAddress.name, () => {
  afterEach(() => jest.restoreAllMocks());

  it.each([
    'http://93.184.215.14/',
    'https://93.184.215.14:443/hook?job=1',
    'http://[2606:4700:4700::1111]/',
  ])('should take %s', async (url) => {
    await expect(addresses().check(url)).resolves.toBeUndefined();
  });

  it.each(['ftp://93.184.215.14/', 'file:///etc/passwd', 'hook', '', 'javascript:alert(1)'])(
    'should refuse %j, which is no address of the web',
    async (url) => {
      await expect(addresses().check(url)).rejects.toMatchObject(invalid(/http or https/));
    },
  );

  it.each([
    'http://127.0.0.1/',
    'http://0x7f.1/',
    'http://2130706433/',
    'http://10.0.0.1/',
    'http://169.254.169.254/latest/meta-data/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[fe80::1]/',
    'http://localhost/',
    'https://93.184.215.14:8443/',
    'http://93.184.215.14:22/',
  ])('should refuse %s, in the same words', async (url) => {
    await expect(addresses().check(url)).rejects.toMatchObject(invalid(/public address/));
  });

  it('should judge a name by what it resolves to now, and take one that does not resolve yet', async () => {
    resolveTo('10.1.2.3');
    await expect(addresses().check('https://hooks.example/')).rejects.toMatchObject(
      invalid(/public address/),
    );
    resolveTo('93.184.215.14');
    await expect(addresses().check('https://hooks.example/')).resolves.toBeUndefined();
    resolveTo(undefined);
    await expect(addresses().check('https://hooks.example/')).resolves.toBeUndefined();
  });

  it('should take private addresses that WEBHOOK_URL_ALLOW names', async () => {
    const allowing = addresses({ WEBHOOK_URL_ALLOW: '127.0.0.0/8, hooks.internal' });
    await expect(allowing.check('http://127.0.0.1:9000/')).resolves.toBeUndefined();
    resolveTo('10.1.2.3');
    await expect(allowing.check('http://hooks.internal/')).resolves.toBeUndefined();
    await expect(allowing.check('http://other.internal/')).rejects.toMatchObject(invalid(/public address/));
  });

  it('should refuse credentials and what is too long', async () => {
    await expect(addresses().check('http://ann:secret@93.184.215.14/')).rejects.toMatchObject(
      invalid(/without user name/),
    );
    const long = (length: number) => 'http://93.184.215.14/'.padEnd(length, 'x');
    await expect(addresses().check(long(2048))).resolves.toBeUndefined();
    await expect(addresses().check(long(2049))).rejects.toMatchObject(
      invalid(/^Expected at most 2048 characters for webhook_url but received 2049$/),
    );
  });

  it('should say that a service without WEBHOOK_SECRET sends none', async () => {
    await expect(addresses({ WEBHOOK_SECRET: '' }).check('http://93.184.215.14/')).rejects.toMatchObject(
      invalid(/WEBHOOK_SECRET/),
    );
  });
});
