import { ConfigError, withVariables, YamlFile, type Config } from '@app/config';

/** A model that requests can name. */
export interface ModelChoice {
  readonly name: string;
  /** Other names for it. */
  readonly aliases: readonly string[];
  /** As if it were the only one. */
  readonly config: Config;
}

const VARIABLE = 'MODELS_FILE';
/** What may differ from one model to the next. */
const VARIABLES: readonly (keyof Config)[] = [
  ...(['MODEL_PATH', 'VAE_PATH', 'IP_ADAPTER_PATH', 'CLIP_VISION_PATH', 'PHOTO_MAKER_PATH'] as const),
  ...(['ENABLE_IP_ADAPTER', 'LORA_DIR', 'EMBEDDINGS_DIR', 'CONTROL_NET_DIR', 'DEFAULT_SIZE'] as const),
];
const SHAPE = 'NAME: { MODEL_PATH: ... }';
const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;
const NAME_RULE = '1 to 128 of A-Z, a-z, 0-9, ".", "_", "/" and "-", the first a letter or a digit';

type Problem = (sentence: string, field?: string) => void;

/** The models of the file in its order: the first is drawn with where a request names none. Throws ConfigError. */
export function readModels(config: Config, bytes: Buffer): ModelChoice[] {
  const file = new YamlFile(VARIABLE, config.MODELS_FILE!, bytes, `models, each as ${SHAPE}`);
  const problems: string[] = [];
  const choices: ModelChoice[] = [];
  const owners = new Map<string, string>();
  for (const [name, value] of file.entries()) {
    const problem: Problem = (sentence, field) =>
      problems.push(
        file.problem(`${sentence} (model ${name})`, field === undefined ? [name] : [name, field]),
      );
    const choice = readModel(name, value, config, problem);
    if (!choice) continue;
    choices.push(choice);
    for (const one of [name, ...choice.aliases]) {
      const owner = owners.get(one);
      if (owner !== undefined) problem(`"${one}" is a name of the model ${owner} already`, 'aliases');
      owners.set(one, name);
    }
  }
  if (choices.length === 0 && problems.length === 0)
    problems.push(file.problem(`expected at least one model, as ${SHAPE}`, []));
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return withUsualAliases(choices, config.MODEL_ALIASES, owners);
}

function readModel(name: string, value: unknown, config: Config, problem: Problem): ModelChoice | undefined {
  if (!NAME.test(name)) return (problem(`the name of a model must be ${NAME_RULE}`), undefined);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return (problem('expected { MODEL_PATH: ... }'), undefined);
  const { aliases = [], ...variables } = value as Record<string, unknown>;
  const given: Record<string, string | undefined> = { MODEL_FILE: undefined };
  let right = true;
  const wrong: Problem = (...of) => ((right = false), problem(...of));
  if (!isNames(aliases)) wrong('aliases must be a list of names, such as [dall-e-3]', 'aliases');
  for (const [variable, text] of Object.entries(variables)) {
    if (!VARIABLES.includes(variable as keyof Config))
      wrong(`expected ${VARIABLES.join(', ')} or aliases but found ${variable}`, variable);
    else if (text === null || text === '') given[variable] = undefined;
    else if (isValue(text)) given[variable] = String(text);
    else wrong(`${variable} must be one value`, variable);
  }
  if (right && given.MODEL_PATH === undefined)
    wrong('MODEL_PATH must say where its checkpoint is: a hub repository, a folder, a file or "demo"');
  if (!right || !isNames(aliases)) return undefined;
  try {
    return { name, aliases, config: withVariables(config, given) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const sentence of error.message.split('\n')) problem(sentence, /^\w+/.exec(sentence)?.[0]);
    return undefined;
  }
}

/** Those of the environment that no model claims are the first one's. */
function withUsualAliases(
  [first, ...others]: ModelChoice[],
  usual: readonly string[],
  owners: ReadonlyMap<string, string>,
): ModelChoice[] {
  const free = usual.filter((alias) => !owners.has(alias));
  return [{ ...first, aliases: [...first.aliases, ...free] }, ...others];
}

const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '');

const isValue = (value: unknown): value is string | boolean | number =>
  ['string', 'boolean', 'number'].includes(typeof value);
