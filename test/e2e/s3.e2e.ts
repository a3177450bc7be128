import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { temporaryFolder } from '../support/demo';
import { describeWith } from '../support/requires';
import { S3_GATEWAY, startS3Gateway, type S3Gateway } from '../support/s3.gateway';
import { Service } from '../support/service';

const NIGHT = join(__dirname, '../../libs/models/demo/loras/night.safetensors');
const CAKE = join(__dirname, '../fixtures/cake-on-green.png');

describeWith(S3_GATEWAY, 'Pictures in a bucket', () => {
  const DATA_DIR = temporaryFolder();
  let gateway: S3Gateway;
  let client: S3Client;
  let service: Service;

  beforeAll(async () => {
    gateway = await startS3Gateway();
    const { endpoint, accessKeyId, secretAccessKey } = gateway;
    client = new S3Client({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
    await client.send(new CreateBucketCommand({ Bucket: 'pictures' }));
    await client.send(
      new PutObjectCommand({
        ...{ Bucket: 'pictures', Key: 'loras/night.safetensors', Body: readFileSync(NIGHT) },
      }),
    );
    service = await Service.startReady({
      DATA_DIR,
      LORA_S3_PREFIX: 'loras/',
      S3_BUCKET_NAME: 'pictures',
      S3_ENDPOINT: endpoint,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    });
  });
  afterAll(async () => {
    await service?.stop();
    client?.destroy();
    await gateway?.stop();
  });

  it('should draw after an avatar that another program put there, and store and serve the result', async () => {
    // The newest object in the user's folder, as the service before this one wrote it.
    await client.send(
      new PutObjectCommand({
        Bucket: 'pictures',
        Key: 'avatars/user123/upload.png',
        Body: readFileSync(CAKE),
      }),
    );
    const small = { size: '64x64', num_inference_steps: 1, guidance_scale: 1 };
    const body = { user_id: 'user123', prompt: 'a fox', ...small };
    const response = await service.post('/v1/images/memory', body);
    const reply = (await response.json()) as { id: string; data: { s3_uri: string; url: string }[] };
    expect({ status: response.status, reply }).toMatchObject({ status: 200 });
    const key = `generated/user123/memory_${reply.id}.png`;
    expect(reply.data[0].s3_uri).toBe(`s3://pictures/${key}`);

    const listed = await client.send(new ListObjectsV2Command({ Bucket: 'pictures', Prefix: 'generated/' }));
    expect(listed.Contents?.map((object) => object.Key)).toEqual([key]);
    const served = await fetch(service.url + new URL(reply.data[0].url).pathname);
    expect(served.status).toBe(200);
    expect((await served.arrayBuffer()).byteLength).toBe(listed.Contents?.[0].Size);
    expect(readdirSync(DATA_DIR)).not.toContain('generated');
  });

  it("should draw with the bucket's LoRA from the first picture on", async () => {
    const picture = async (more: object) => {
      const body = {
        prompt: 'a fox',
        size: '64x64',
        num_inference_steps: 1,
        guidance_scale: 1,
        seed: 1,
        ...more,
      };
      const response = await service.post('/v1/images/generations', { ...body, response_format: 'b64_json' });
      const reply = (await response.json()) as { data: { b64_json: string }[]; warnings?: string[] };
      expect({ status: response.status, reply }).toMatchObject({ status: 200, reply: { warnings: [] } });
      return reply.data[0].b64_json;
    };
    const withIt = await picture({ loras: [{ name: 'night' }] });
    expect(await picture({})).not.toBe(withIt);
    const listed = await fetch(`${service.url}/v1/loras`);
    expect(await listed.json()).toMatchObject({ data: [{ name: 'night' }] });
  });

  it('should answer 503 while the bucket is away, and stay alive', async () => {
    await gateway.stop();
    const response = await service.post('/v1/images/memory', { user_id: 'user123', prompt: 'a fox' });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await response.json()).toMatchObject({ error: { code: 'storage_unavailable' } });
    expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
    const ready = () => fetch(`${service.url}/health/ready`);
    await service.until(async () => (await ready()).status === 503, 'is not ready');
    expect(await (await ready()).json()).toMatchObject({
      error: {
        storage: { status: 'down', driver: 's3', reason: expect.stringContaining('S3_ENDPOINT') as string },
      },
    });
  });
});
