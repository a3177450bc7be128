import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { Session } from '#native';
import { readEmbeddings, type Embedding } from '../../libs/models/embeddings';
import { nameEmbeddings } from '../../libs/pipeline/embedding.words';
import { loadCommand } from '../../libs/pipeline/load.command';
import { demoModel, temporaryFolder } from '../support/demo';
import { embedding, writeSafetensors } from '../support/safetensors';

describe('The addon: textual inversion embeddings', () => {
  const folder = temporaryFolder();
  let session: Session;
  let draw: (prompt: string, known?: readonly Embedding[]) => Promise<Buffer>;

  beforeAll(async () => {
    for (const [i, name] of ['one', 'other'].entries())
      await writeSafetensors(join(folder, `${name}.safetensors`), embedding(i + 1));
    const files = { name: 'demo', ...(await demoModel()), clipVision: undefined, ipAdapter: undefined };
    const embeddings = await readEmbeddings(folder);
    const config = loadConfig({ MODEL_PATH: 'demo' });
    const command = await loadCommand(config, { id: 0, sharers: 1 }, { ...files, embeddings });
    session = await Session.load(command.options);
    draw = async (prompt, known = embeddings) => {
      const [text] = nameEmbeddings([prompt], known).texts;
      const size = { width: 64, height: 64 };
      return (await session.generate({ prompt: text, ...size, steps: 1, guidanceScale: 1, seed: 7 })).pixels;
    };
  }, 120_000);
  afterAll(() => session.close());

  it('should change the picture of a prompt that has the word, always alike', async () => {
    const asWords = await draw('a fox one', []);
    const one = await draw('a fox One');
    const other = await draw('a fox other');
    // Words that the demo does not know change a pixel in a hundred by one.
    expect(distance(one, asWords)).toBeGreaterThan(0.5);
    expect(distance(one, other)).toBeGreaterThan(0.3);
    expect((await draw('a fox one')).equals(one)).toBe(true);
  });
});

/** The mean difference of two pictures' bytes. */
const distance = (one: Buffer, other: Buffer) =>
  one.reduce((sum, byte, at) => sum + Math.abs(byte - other[at]), 0) / one.length;
