import { isUtf8 } from 'node:buffer';
import { existsSync, readFileSync } from 'node:fs';
import { Global, Module, type DynamicModule } from '@nestjs/common';
import { ConfigModule as NestConfigModule } from '@nestjs/config';
import { Config } from './config';
import { ConfigError, loadConfig } from './load.config';

/** Hands the one Config to every module. */
@Global()
@Module({})
export class ConfigModule {
  /**
   * The variables of `.env` and the environment, which wins. Throws ConfigError. It comes before the application, whose
   * modules depend on it (ROLE); Nest's own ConfigService would be a second way to the variables, without types.
   */
  static async read(envFilePath = '.env'): Promise<Config> {
    let config: Config | undefined;
    const validate = (variables: Record<string, string>) => {
      config = loadConfig(variables);
      return variables; // what else .env holds reaches the engines and the AWS SDK, such as CUDA_VISIBLE_DEVICES
    };
    try {
      assertUtf8(envFilePath);
      await NestConfigModule.forRoot({ envFilePath, validate });
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException;
      if (syscall) throw new ConfigError(`${envFilePath} must be a file that can be read (${code})`);
      throw error;
    }
    return config!;
  }

  static forRoot(config: Config): DynamicModule {
    return { module: ConfigModule, providers: [{ provide: Config, useValue: config }], exports: [Config] };
  }
}

/** Notepad's "Unicode" and PowerShell's `>` write UTF-16: no line of it would be read, and none be missed. */
function assertUtf8(path: string): void {
  if (!existsSync(path)) return;
  const bytes = readFileSync(path);
  if (!isUtf8(bytes) || bytes.includes(0))
    throw new ConfigError(`${path} must be saved as UTF-8, but is in another encoding, such as UTF-16`);
}
