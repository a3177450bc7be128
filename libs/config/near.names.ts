import { Config, CONFIG_VARIABLES, isOpenToOthers } from './config';

/** A sentence for each variable that is nearly one of the service, which is unset: its value is not read. */
export const nearNames = (env: NodeJS.ProcessEnv): string[] =>
  slips(env).map(
    ({ given, meant }) => `${given} is no variable of the service and not read: is ${meant} meant?`,
  );

/** The same where it must not be passed over: keys that are not read would leave the service open. */
export function lostKeys(env: NodeJS.ProcessEnv, config: Config): string[] {
  if (!isOpenToOthers(config)) return [];
  return slips(env)
    .filter(({ meant }) => meant.startsWith('API_KEYS'))
    .map(
      ({ given, meant }) =>
        `${given} must be written ${meant}: as it is there are no keys, and everybody who reaches HOST may call. If it is another program's, unset it here`,
    );
}

const slips = (env: NodeJS.ProcessEnv) =>
  Object.keys(env)
    .filter((name) => env[name] && !CONFIG_VARIABLES.includes(name))
    .flatMap((given) => {
      const meant = CONFIG_VARIABLES.find((name) => !env[name] && isSlip(letters(given), letters(name)));
      return meant ? [{ given, meant }] : [];
    });

const letters = (name: string) => name.toUpperCase().replace(/[^A-Z0-9]/g, '');

/** The same letters, or one too many, too few or another, or two that changed places. */
function isSlip(one: string, other: string): boolean {
  let i = 0;
  while (i < one.length && one[i] === other[i]) i++;
  const [a, b] = [one.slice(i), other.slice(i)];
  return (
    a === b ||
    a.slice(1) === b ||
    a === b.slice(1) ||
    a.slice(1) === b.slice(1) ||
    (a.slice(0, 2) === b[1] + b[0] && a.slice(2) === b.slice(2))
  );
}
