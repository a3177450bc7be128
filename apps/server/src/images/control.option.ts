import { ServiceError } from '@app/errors';
import type { Capabilities, JobControl } from '@app/jobs';
import type { ControlOption } from './control.dto';

type Offer = Pick<Capabilities, 'controlNets' | 'models'>;

/** Which ControlNet is meant, and how. Throws `control_net_not_found`, naming what there is. */
export function controlOf(option: ControlOption, { controlNets, models }: Offer): JobControl {
  const { strength = 1, preprocess, name } = option;
  if (controlNets.length === 0) throw models.length === 0 ? unknown() : none();
  const chosen = name ?? (controlNets.length === 1 ? controlNets[0] : undefined);
  const there = controlNets.join(', ');
  if (chosen === undefined) {
    const sentence = `Expected the name of a ControlNet (${there}) for control.name but received nothing`;
    throw new ServiceError('invalid_request', sentence, 'control.name');
  }
  if (controlNets.includes(chosen)) return { name: chosen, strength, ...(preprocess && { canny: true }) };
  const sentence = `There is no ControlNet "${chosen}". There are: ${there}.`;
  throw new ServiceError('control_net_not_found', sentence, 'control.name');
}

const unknown = () =>
  new ServiceError(
    'engine_not_ready',
    'There is no worker yet, so it is not known which ControlNets there are',
    undefined,
    { retryAfter: 10 },
  );
const none = () =>
  new ServiceError(
    'control_net_not_found',
    'This service has no ControlNet, so it cannot be guided by a picture (CONTROL_NET_DIR)',
    'control',
  );
