/** `npm run models`: the hub's files on this disk, for operators. The service itself downloads what it lacks as it starts. */
import 'reflect-metadata';
import { Command } from 'commander';
import { ConfigError, ConfigModule } from '@app/config';
import { HUB_FORM, ModelError } from '@app/models';
import { list, pull, remove, verify } from './commands';
import { PRESETS } from './presets';

const NAMES = `a preset (${Object.keys(PRESETS).join(', ')}), or ${HUB_FORM}`;
const read = () => ConfigModule.read();

const program = new Command('models')
  .description(
    'Files of the model hub in HF_HOME, a cache that the hub’s own tools share. Variables and .env as the service has them.',
  )
  .showHelpAfterError();
program
  .command('pull')
  .argument('[names...]', `${NAMES}; none: what the variables ask for`)
  .description('downloads what is not there; a download that was ended goes on where it was')
  .action(async (names: string[]) => pull(await read(), names));
program
  .command('list')
  .description('files with their sizes, and which variables use them')
  .action(async () => list(await read()));
program
  .command('verify')
  .argument('[names...]', `${NAMES}; none: all`)
  .description('reads the files and compares their hashes with the hub’s; exits with 1 where one is damaged')
  .action(async (names: string[]) => verify(await read(), names));
program
  .command('rm')
  .argument('<names...>', NAMES)
  .option('--force', 'also what the variables use')
  .description('deletes files')
  .action(async (names: string[], { force = false }: { force?: boolean }) =>
    remove(await read(), names, force),
  );

program.parseAsync().catch((error: unknown) => {
  const known = error instanceof ModelError || error instanceof ConfigError;
  process.stderr.write(`${known ? error.message : ((error as Error).stack ?? String(error))}\n`);
  process.exitCode = 1;
});
