import type { Sampler, Scheduler } from '#native';

type Spellings<Name extends string> = Readonly<Record<Name, readonly string[]>>;

/** The engine's samplers, and what AUTOMATIC1111, ComfyUI and diffusers call them. */
export const SAMPLERS: Spellings<Sampler> = {
  euler: ['Euler', 'EulerDiscreteScheduler'],
  euler_a: ['Euler a', 'euler_ancestral', 'EulerAncestralDiscreteScheduler'],
  heun: ['Heun', 'HeunDiscreteScheduler'],
  dpm2: ['DPM2', 'dpm_2', 'KDPM2DiscreteScheduler'],
  'dpm++2s_a': ['DPM++ 2S a', 'dpmpp_2s_ancestral'],
  'dpm++2m': ['DPM++ 2M', 'dpmpp_2m', 'DPMSolverMultistepScheduler'],
  'dpm++2mv2': ['DPM++ 2M v2'],
  'dpm++2m_sde': ['DPM++ 2M SDE', 'dpmpp_2m_sde'],
  lms: ['LMS', 'LMSDiscreteScheduler'],
  ipndm: ['IPNDM', 'IPNDMScheduler'],
  ipndm_v: [],
  ddim_trailing: ['DDIM', 'DDIMScheduler'],
  lcm: ['LCM', 'LCMScheduler'],
  tcd: ['TCD', 'TCDScheduler'],
  res_multistep: [],
  res_2s: [],
  er_sde: [],
  euler_cfg_pp: [],
  euler_a_cfg_pp: ['euler_ancestral_cfg_pp'],
  euler_ge: [],
};

/** The same of the engine's schedules. */
export const SCHEDULERS: Spellings<Scheduler> = {
  discrete: ['Uniform', 'Normal'],
  karras: ['Karras'],
  exponential: ['Exponential'],
  ays: ['Align Your Steps'],
  gits: ['GITS', 'Align Your Steps GITS'],
  sgm_uniform: ['SGM Uniform'],
  simple: ['Simple'],
  smoothstep: [],
  kl_optimal: ['KL Optimal'],
  lcm: ['LCM'],
  beta: ['Beta'],
};

const namesOf = <Name extends string>(spellings: Spellings<Name>) =>
  Object.entries<readonly string[]>(spellings) as [Name, readonly string[]][];

const spellingsOf = (spellings: Spellings<string>): string[] =>
  namesOf(spellings).flatMap(([name, others]) => [name, ...others]);

/** AUTOMATIC1111 had both in one name once. */
const PAIRS = [
  ...['LMS Karras', 'DPM2 Karras', 'DPM++ 2S a Karras', 'DPM++ 2M Karras'],
  ...['DPM++ 2M SDE Karras', 'DPM++ 2M SDE Exponential'],
];
const PAIR = /^(.+) (Karras|Exponential)$/i;

/** What requests may say, as the API document lists it. */
export const SAMPLER_NAMES: readonly string[] = [...spellingsOf(SAMPLERS), ...PAIRS];
export const SCHEDULER_NAMES: readonly string[] = spellingsOf(SCHEDULERS);

const plain = (name: string) => name.toLowerCase().replace(/[\s_-]/g, '');

function lookUp<Name extends string>(spellings: Spellings<Name>): ReadonlyMap<string, Name> {
  const known = namesOf(spellings).flatMap(([name, others]) =>
    [name, ...others].map((spelling) => [plain(spelling), name] as const),
  );
  return new Map(known);
}

const samplers = lookUp(SAMPLERS);
const schedulers = lookUp(SCHEDULERS);

/** In upper or lower case, and with spaces or without. */
export function findSampler(
  name: string,
): { readonly sampler: Sampler; readonly scheduler?: Scheduler } | undefined {
  const sampler = samplers.get(plain(name));
  if (sampler) return { sampler };
  const [, first, schedule] = PAIR.exec(name) ?? [];
  const paired = first === undefined ? undefined : samplers.get(plain(first));
  return paired && { sampler: paired, scheduler: findScheduler(schedule) };
}

export const findScheduler = (name: string): Scheduler | undefined => schedulers.get(plain(name));
