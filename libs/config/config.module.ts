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
