export { ConfigModule } from './config.module';
export {
  Config,
  INPUTS,
  connectionsPerCaller,
  defaultSize,
  hasKeys,
  isDemo,
  isOnHub,
  isOpenToOthers,
  signsLinks,
} from './config';
export { ConfigError, loadConfig } from './load.config';
export { nearNames } from './near.names';
export { parseSize, type Size } from './size';
