export { ConfigModule } from './config.module';
export { Config, INPUTS, defaultSize, hasKeys, isDemo, isOpenToOthers, signsLinks } from './config';
export { ConfigError, loadConfig } from './load.config';
export { SIZE_STEP, parseSize, type Size } from './size';
