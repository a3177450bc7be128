import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import { Config, CONFIG_VARIABLES } from './config';
import { combinationProblems } from './cross.rules';
import { hiddenProblem } from './hidden.characters';
import { lostKeys } from './near.names';

/** Says which variables are wrong and by which rule, never their values. */
export class ConfigError extends Error {}

/** Variables -> Config. Empty variables count as unset. Throws ConfigError. */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const given: Record<string, string> = {};
  /** A sentence for each wrong variable: the first rule that it breaks. */
  const problems = new Map<string, string>();
  for (const name of CONFIG_VARIABLES) {
    const value = env[name];
    if (!value) continue;
    given[name] = value;
    const hidden = hiddenProblem(name, value);
    if (hidden) problems.set(name, hidden);
  }
  // A value that is not what it looks like says nothing about combinations.
  const readable = problems.size === 0;
  const config = plainToInstance(Config, { ...new Config(), ...given });
  return inOrder(config, problems, readable ? lostKeys(env, config) : undefined);
}

/** The same with other values for some variables; undefined: unset. Throws ConfigError. */
export function withVariables(config: Config, given: Readonly<Record<string, string | undefined>>): Config {
  const problems = new Map<string, string>();
  for (const [name, value = ''] of Object.entries(given)) {
    const hidden = hiddenProblem(name, value);
    if (hidden) problems.set(name, hidden);
  }
  const changed = plainToInstance(Config, { ...config, ...given });
  return inOrder(changed, problems, problems.size === 0 ? [] : undefined);
}

/** @param more what else is wrong with combinations; undefined: they are not looked at */
function inOrder(config: Config, problems: Map<string, string>, more: readonly string[] | undefined): Config {
  const add = (name: string, problem: string) => problems.set(name, problems.get(name) ?? problem);
  for (const { property, constraints = {} } of validateSync(config))
    add(property, Object.values(constraints)[0]);
  const combined = more ? [...combinationProblems(config), ...more] : [];
  for (const problem of combined) add(problem.split(/[ ,]/, 1)[0], problem);
  if (problems.size > 0) throw new ConfigError([...problems.values()].join('\n'));
  return Object.freeze(config);
}
