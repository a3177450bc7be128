export { ConfigModule } from './config.module';
export {
  Config,
  ConfigError,
  INPUTS,
  SIZE_STEP,
  defaultSize,
  hasKeys,
  isDemo,
  isOpenToOthers,
  loadConfig,
  parseSize,
  signsLinks,
  type Size,
} from './config';
