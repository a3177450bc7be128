export { ConfigModule } from './config.module';
export {
  Config,
  ConfigError,
  INPUTS,
  defaultSize,
  hasKeys,
  isDemo,
  isOpenToOthers,
  loadConfig,
  parseSize,
  signsLinks,
  type Size,
} from './config';
