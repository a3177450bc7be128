import sharp from 'sharp';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { FaceFinder, FaceProcessOptions } from '@app/faces';
import { ModelCatalog } from '@app/models';
import { JobDesk } from '../../../../test/support/job.desk';
import { draft } from '../../../../test/support/jobs';
import { MemoryStorage } from '../../../../test/support/memory.storage';
import { REDIS_SERVER, RedisServer } from '../../../../test/support/redis.server';
import { describeWith } from '../../../../test/support/requires';
import { RedisConnection } from '../../../../libs/jobs/redis/redis.connection';
import { RedisJobEvents } from '../../../../libs/jobs/redis/redis.job.events';
import { RedisJobQueue } from '../../../../libs/jobs/redis/redis.job.queue';
import { RedisJobStore } from '../../../../libs/jobs/redis/redis.job.store';
import { OpenRequests } from '../http/open.requests';
import { UserFaces } from './user.faces';
import { UserPhotos } from './user.photos';
import { UserPictures } from './user.pictures';
import { UsersService } from './users.service';

const NEVER = { caller: 'key:ann', signal: new AbortController().signal };
const CANCELLED = { code: 'cancelled', message: expect.stringContaining('The data of user ann was deleted') };

/** A bucket whose next write waits. */
class HeldStorage extends MemoryStorage {
  private held?: { readonly reached: () => void; readonly released: Promise<void> };

  hold(): { readonly reached: Promise<void>; readonly release: () => void } {
    let [reach, release] = [() => {}, () => {}];
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    this.held = { reached: reach, released };
    return { reached, release };
  }

  override async put(...object: Parameters<MemoryStorage['put']>): Promise<void> {
    const { held } = this;
    this.held = undefined;
    held?.reached();
    await held?.released;
    return super.put(...object);
  }
}

describeWith(REDIS_SERVER, 'The deletion of a user while another process writes for them', () => {
  let server: RedisServer;
  let storage: HeldStorage;
  let desks: JobDesk[];
  let picture: Buffer;

  beforeEach(async () => {
    server = await RedisServer.start();
    storage = new HeldStorage();
    desks = [];
    const create = { width: 64, height: 64, channels: 3, background: '#c83214' } as const;
    picture = await sharp({ create }).png().toBuffer();
  });
  afterEach(async () => {
    for (const desk of desks) await desk.close();
    await server.stop();
  });

  /** Records and storage are shared, all else is its own. */
  function startProcess(): { readonly users: UsersService; readonly desk: JobDesk } {
    const redis = new RedisConnection(server.url);
    const store = new RedisJobStore(redis);
    const desk = new JobDesk({}, undefined, {
      ...{ store, queue: new RedisJobQueue(redis, store), events: new RedisJobEvents(redis) },
      close: () => redis.close(),
    });
    desks.push(desk);
    const config = Object.assign(new Config(), { FACE_DETECTION: false });
    const pictures = new UserPictures(config, storage);
    const finder = new FaceFinder(new FaceProcessOptions());
    const faces = new UserFaces(config, storage, pictures, finder, new ModelCatalog(config));
    const photos = new UserPhotos(pictures, faces);
    return {
      desk,
      users: new UsersService(
        ...([config, storage, pictures, faces, photos, new OpenRequests(desk.drain), desk.jobs] as const),
      ),
    };
  }

  const stored = async () => {
    const keys: string[] = [];
    for await (const { key } of storage.list('')) keys.push(key);
    return keys;
  };

  it.each(['avatar', 'photo'])('should leave nothing of an upload that is at its write: %s', async (kind) => {
    const [here, there] = [startProcess(), startProcess()];
    const body = { body: picture };
    await here.users.addPhoto('ann', body, NEVER);
    await here.users.addPhoto('ann', body, NEVER);
    const { reached, release } = storage.hold();
    const upload = (
      kind === 'avatar' ? here.users.put(kind, 'ann', body, NEVER) : here.users.addPhoto('ann', body, NEVER)
    ).catch((error: ServiceError) => error);
    await reached;
    await there.users.removeUser('ann');
    release();
    expect(await upload).toMatchObject(CANCELLED);
    expect(await stored()).toEqual([]);
  });

  it('should let in no job that was begun before', async () => {
    const [here, there] = [startProcess(), startProcess()];
    const begun = draft({ createdAt: await here.desk.jobs.now(), picture: { userId: 'ann' } });
    await there.users.removeUser('ann');
    await expect(here.desk.jobs.submit(begun, true)).rejects.toMatchObject(CANCELLED);
    expect((await there.desk.jobs.list({ userId: 'ann', limit: 1 })).jobs).toEqual([]);
  });

  it('should leave the user free to come again at once', async () => {
    const [here, there] = [startProcess(), startProcess()];
    await there.users.removeUser('ann');
    const createdAt = await here.desk.jobs.now();
    await here.desk.jobs.submit(draft({ createdAt, picture: { userId: 'ann' } }), true);
    await here.users.put('avatar', 'ann', { body: picture }, NEVER);
    expect(await stored()).toHaveLength(1);
    expect((await there.desk.jobs.list({ userId: 'ann', limit: 1 })).jobs).toHaveLength(1);
  });
});
