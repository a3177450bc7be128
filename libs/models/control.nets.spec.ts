import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { controlNetShapes } from '../../test/support/control.net';
import { partlyMatchingLora, withHeader, writeSafetensors } from '../../test/support/safetensors';
import { readControlNets } from './control.nets';

describe(readControlNets.name, () => {
  let root: string;
  let folder: string;
  let model: string;
  let warn: jest.SpyInstance;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'controls-'));
    folder = join(root, 'controls');
    await mkdir(folder);
    model = join(root, 'model.safetensors');
    await unet(320);
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
  });
  afterEach(async () => {
    warn.mockRestore();
    await rm(root, { recursive: true });
  });

  const at = (name: string) => join(folder, `${name}.safetensors`);
  const unet = (channels: number) =>
    writeSafetensors(model, {
      'model.diffusion_model.input_blocks.0.0.weight': { shape: [channels, 4, 3, 3] },
    });
  /** Names and shapes alone: all tensors share no bytes. */
  const write = (name: string, others: Record<string, readonly number[] | undefined> = {}, dtype = 'F16') => {
    const shapes = Object.entries({ ...controlNetShapes, ...others }).filter(([, shape]) => shape);
    const header = shapes.map(([tensor, shape]) => [tensor, { dtype, shape, data_offsets: [0, 0] }]);
    return writeFile(at(name), withHeader(Object.fromEntries(header), Buffer.alloc(0)));
  };
  const names = async () => (await readControlNets(folder, model)).map(({ name }) => name);
  const told = () => (warn.mock.calls as [string][]).map(([line]) => line);

  it('should find them by the names of their files', async () => {
    await write('depth');
    await write('canny.v2');
    await writeFile(join(folder, 'notes.txt'), 'none');
    expect(await readControlNets(folder, model)).toMatchObject([
      { name: 'canny.v2', path: at('canny.v2'), bytes: expect.any(Number) as number },
      { name: 'depth', path: at('depth') },
    ]);
    expect(told()).toEqual([]);
  });

  it.each<[string, Parameters<typeof write>[1], string]>([
    [
      'of SD 1.5',
      { 'add_embedding.linear_1.weight': undefined },
      'it is not for the whole SDXL: add_embedding',
    ],
    ['of another width', { 'conv_in.weight': [64, 4, 3, 3] }, 'conv_in.weight is not 320x4x3x3'],
    [
      'that is shallower',
      { 'controlnet_down_blocks.8.weight': undefined },
      'controlnet_down_blocks.8.weight',
    ],
    ['of a union', { 'task_embedding.weight': [6, 320] }, 'does not know (task_embedding.weight)'],
  ])('should leave out one %s, and say why', async (_what, others, why) => {
    await write('good');
    await write('bad', others);
    expect(await names()).toEqual(['good']);
    expect(told()).toEqual([expect.stringMatching(/^CONTROL_NET_DIR: bad.safetensors is left out: /)]);
    expect(told()[0]).toContain(why);
    expect(told()[0]).not.toContain(root);
  });

  it('should leave out one of weights that the engine would not compute with', async () => {
    await write('small', {}, 'F8_E4M3');
    expect(await names()).toEqual([]);
    expect(told()[0]).toContain('its weights are F8_E4M3, not F16, BF16, F32');
  });

  it('should leave out what is none, or has no name for requests', async () => {
    await partlyMatchingLora(at('lora'));
    await writeFile(at('cut'), 'not weights');
    await write('two words');
    expect(await names()).toEqual([]);
    expect(told()).toHaveLength(3);
    expect(told().join()).toContain("lora.safetensors is left out: it is no ControlNet in diffusers' format");
  });

  it('should offer none for a model of another width, and say so once', async () => {
    await write('good');
    await write('other');
    await unet(64);
    expect(await names()).toEqual([]);
    expect(told()).toEqual(["CONTROL_NET_DIR: none is offered: the model's UNet is not as wide as SDXL's"]);
    expect(await readControlNets(folder, join(root, 'model.gguf'))).toHaveLength(2);
  });

  it('should say which variable names a folder that cannot be read', async () => {
    await expect(readControlNets(join(root, 'absent'), model)).rejects.toThrow(
      'CONTROL_NET_DIR cannot be read (ENOENT)',
    );
  });
});
