export { ConfigModule } from './config.module';
export {
  Config,
  FACES,
  INPUTS,
  canSign,
  connectionsPerCaller,
  defaultSize,
  hasKeys,
  isDemo,
  isLoopback,
  isOnHub,
  isOpenToOthers,
  pathPrefix,
  signsLinks,
  tracesAddress,
} from './config';
export { ConfigError, loadConfig, withVariables } from './load.config';
export { nearNames } from './near.names';
export { parseSize, type Size } from './size';
export { YamlFile } from './yaml.file';
