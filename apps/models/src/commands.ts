import type { Config } from '@app/config';
import {
  type CachedFile,
  cachedFiles,
  checkFile,
  HUB_FORM,
  HubFiles,
  hubHome,
  type HubReference,
  ModelCatalog,
  ModelError,
  ModelsService,
  openHub,
  parseHubAddress,
  parseHubReference,
  partsOf,
  planModel,
  removeFile,
  TerminalProgress,
} from '@app/models';
import { PRESETS } from './presets';

const say = (line: string) => void process.stdout.write(`${line}\n`);

export async function pull(config: Config, names: readonly string[]): Promise<void> {
  const progress = new TerminalProgress();
  // A cursor that stays hidden would outlive the command.
  process.once('SIGINT', () => (progress.close(), process.exit(130)));
  try {
    const paths =
      names.length > 0 ? await fetchAll(config, names, progress) : await fetchPlanned(config, progress);
    progress.close();
    paths.forEach(say);
  } finally {
    progress.close();
  }
  for (const name of names) {
    for (const [variable, value] of Object.entries(PRESETS[name]?.variables ?? {}))
      say(`To use it: ${variable}=${value}`);
  }
}

async function fetchPlanned(config: Config, { report }: TerminalProgress): Promise<string[]> {
  const paths = new Set<string>();
  for (const model of new ModelCatalog(config).all) {
    const files = await new ModelsService(model.config).resolve(report);
    for (const path of partsOf(files)) paths.add(path);
  }
  return [...paths];
}

async function fetchAll(
  config: Config,
  names: readonly string[],
  { report }: TerminalProgress,
): Promise<string[]> {
  const wanted = names.flatMap(referencesOf).map(({ name, reference }) => ({ variable: name, reference }));
  const client = await openHub(config);
  try {
    const files = new HubFiles(client, hubHome(config));
    await files.prepare(wanted);
    const paths = [];
    for (const { variable, reference } of wanted) paths.push(await files.get(reference, variable, report));
    return paths;
  } finally {
    await client.close();
  }
}

export async function list(config: Config): Promise<void> {
  const home = hubHome(config);
  const [files, used] = [await cachedFiles(home), await usedBy(config)];
  for (const file of files) {
    const { revisions, commit, size } = file;
    const variables = used(file);
    say(
      [
        gigabytes(size).padStart(9),
        `${nameOf(file)} (${[...revisions, commit.slice(0, 7)].join(', ')})`,
        ...(variables.length > 0 ? [`<- ${variables.join(', ')}`] : []),
      ].join('  '),
    );
  }
  // The same bytes may have several names.
  const bytes = new Map(files.map(({ blob, size }) => [blob, size]));
  say(`${gigabytes([...bytes.values()].reduce((sum, size) => sum + size, 0)).padStart(9)}  in ${home}`);
}

export async function verify(config: Config, names: readonly string[]): Promise<void> {
  const all = await cachedFiles(hubHome(config));
  const files = names.length > 0 ? names.flatMap((name) => named(all, name)) : all;
  const words = { right: 'right', damaged: 'DAMAGED', unknown: 'no hash' } as const;
  let damaged = 0;
  for (const file of files) {
    const check = await checkFile(file);
    say(`${words[check].padEnd(7)}  ${nameOf(file)}`);
    if (check === 'damaged') damaged++;
  }
  if (damaged === 0) return;
  throw new ModelError(
    `${damaged} of ${files.length} files are damaged: remove them with rm --force, then pull them again.`,
  );
}

export async function remove(config: Config, names: readonly string[], force: boolean): Promise<void> {
  const all = await cachedFiles(hubHome(config));
  const [files, used] = [names.flatMap((name) => named(all, name)), await usedBy(config)];
  for (const file of files) {
    const variables = used(file);
    if (variables.length > 0 && !force) {
      throw new ModelError(
        `${nameOf(file)} is what ${variables.join(', ')} asks for: with --force it is deleted all the same.`,
      );
    }
  }
  for (const file of files) {
    await removeFile(file, all);
    say(`deleted  ${nameOf(file)}`);
  }
}

const nameOf = ({ repo, path }: CachedFile) => `${repo}:${path}`;
const gigabytes = (bytes: number) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

function referencesOf(text: string): { name: string; reference: HubReference }[] {
  return (PRESETS[text]?.files ?? [text]).map((name) => {
    const reference = parseHubReference(name) ?? parseHubAddress(name);
    if (reference) return { name, reference };
    throw new ModelError(`Expected ${Object.keys(PRESETS).join(', ')}, or ${HUB_FORM}, but received ${name}`);
  });
}

/** Those that the name stands for: all of a repository where it names no file. */
function named(files: readonly CachedFile[], name: string): CachedFile[] {
  const found = referencesOf(name).flatMap(({ reference }) => files.filter((file) => isOf(file, reference)));
  if (found.length === 0) throw new ModelError(`${name}: no such file is here; list shows those that are.`);
  return found;
}

/** `main` is what a reference means that names no revision. */
const isOf = (file: CachedFile, { repo, revision, path }: HubReference) =>
  file.repo === repo &&
  (path === undefined || file.path === path) &&
  (revision === 'main' || file.commit === revision || file.revisions.includes(revision));

/** Which variables ask for a file, of whichever model. None where they are mistaken: that is told where they are used. */
async function usedBy(config: Config): Promise<(file: CachedFile) => string[]> {
  const models = new ModelCatalog(config).all;
  const plans = await Promise.all(models.map((model) => planModel(model.config).catch(() => ({}) as never)));
  const wanted = plans.flatMap((plan) => partsOf(plan));
  const used = (file: CachedFile) =>
    wanted.filter(({ from }) => 'hub' in from && isOf(file, from.hub)).map(({ variable }) => variable);
  return (file) => [...new Set(used(file))];
}
