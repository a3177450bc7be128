import type { Config } from '@app/config';
import type { Capabilities } from '@app/jobs';
import { wantedModel } from '@app/models';

/** Those that draw; while that is not known, what this process was told: front ends need one. */
export const modelNames = ({ models }: Capabilities, config: Config): readonly string[] =>
  models.length > 0 ? models : [wantedModel(config)];
