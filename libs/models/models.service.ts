import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { type DemoFiles, unpackDemo } from './demo';
import { readControlNets, type ControlNet } from './control.nets';
import { readEmbeddings, type Embedding } from './embeddings';
import type { HubClient } from './hub.client';
import { HubFiles } from './hub.files';
import { hubHome, openHub } from './hub.settings';
import { expectIpAdapter } from './ip.adapter';
import { expectWeights } from './local.files';
import { type ModelPlan, planModel, type Wanted } from './model.plan';
import type { OnProgress } from './model.progress';
import { expectPhotoMaker } from './photo.maker';

/** What the engine loads: absolute paths of files that are there and whole. */
export interface ModelFiles {
  /** As users know it: `demo`, the hub repository, or the file's name. */
  readonly name: string;
  readonly checkpoint: string;
  /** Replaces the checkpoint's own VAE. */
  readonly vae?: string;
  /** Not there: no reference pictures. */
  readonly ipAdapter?: string;
  /** The IP-Adapter's image encoder; there whenever the adapter is. */
  readonly clipVision?: string;
  /** Not there: likeness comes from the IP-Adapter alone. */
  readonly photoMaker?: string;
  /** Not there: no LoRAs. */
  readonly loraDir?: string;
  /** Not there: no upscalers. */
  readonly upscalerDir?: string;
  /** Those of EMBEDDINGS_DIR, as they are when the model is looked for. */
  readonly embeddings?: readonly Embedding[];
  /** The same of CONTROL_NET_DIR, which fit the model. */
  readonly controlNets?: readonly ControlNet[];
}

/** Turns the variables of the model into files on disk, downloading or unpacking what is not there yet. */
@Injectable()
export class ModelsService {
  constructor(private readonly config: Config) {}

  /**
   * May take as long as gigabytes take; a second start takes milliseconds and no network. Throws ModelError.
   * @param config of one model, where there are several
   */
  async resolve(onProgress: OnProgress = () => undefined, config = this.config): Promise<ModelFiles> {
    const plan = await planModel(config);
    const client = await openHub(config);
    try {
      return await this.collect(plan, client, onProgress, config);
    } finally {
      await client.close();
    }
  }

  private async collect(
    plan: ModelPlan,
    client: HubClient,
    onProgress: OnProgress,
    config: Config,
  ): Promise<ModelFiles> {
    // One after the other, the small ones first: a mistake in them shows before the long download.
    const { EMBEDDINGS_DIR: folder } = config;
    const embeddings = folder === undefined ? undefined : await readEmbeddings(folder);
    const { vae, ipAdapter, clipVision, photoMaker, checkpoint, loraDir, upscalerDir } = plan;
    const hub = new HubFiles(client, hubHome(config));
    await hub.prepare([vae, ipAdapter, clipVision, photoMaker, checkpoint].flatMap(ofHub));
    const fetch = this.fetcher(hub, onProgress);
    const files = {
      vae: vae && (await fetch(vae)),
      ipAdapter: ipAdapter && (await expectIpAdapter(await fetch(ipAdapter))),
      clipVision: clipVision && (await fetch(clipVision)),
      photoMaker: photoMaker && (await expectPhotoMaker(await fetch(photoMaker))),
      checkpoint: await fetch(checkpoint),
    };
    const { CONTROL_NET_DIR: controls } = config;
    const controlNets =
      controls === undefined ? undefined : await readControlNets(controls, files.checkpoint);
    return { name: plan.name, ...files, loraDir, upscalerDir, embeddings, controlNets };
  }

  private fetcher(hub: HubFiles, onProgress: OnProgress): (wanted: Wanted) => Promise<string> {
    let demo: Promise<DemoFiles> | undefined;
    const path = async ({ variable, from }: Wanted): Promise<string> => {
      if ('file' in from) return from.file;
      if ('hub' in from) return hub.get(from.hub, variable, onProgress);
      demo ??= unpackDemo(this.config.DEMO_CACHE ?? join(this.config.DATA_DIR, 'demo'), onProgress);
      return (await demo)[from.demo];
    };
    return async (wanted) => expectWeights(await path(wanted), wanted.variable);
  }
}

const ofHub = (wanted: Wanted | undefined) =>
  wanted && 'hub' in wanted.from ? [{ reference: wanted.from.hub, variable: wanted.variable }] : [];
