import { createHash, timingSafeEqual } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Config, ConfigError } from '@app/config';
import type { ApiKey } from './api.key';
import { assertDistinct, readKeyList, type KeyEntry } from './key.list';

/** Milliseconds between two looks at API_KEYS_FILE. */
const LOOK_AGAIN = 2_000;

interface Key {
  readonly entry: KeyEntry;
  readonly access: ApiKey;
  readonly revoke: () => void;
}

/** The keys that are valid now. */
@Injectable()
export class KeyRing implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Keys');
  private readonly fixed: readonly KeyEntry[];
  private readonly file?: string;
  private keys: readonly Key[] = [];
  /** The file's content that was read last and was in order. */
  private text = '';
  /** What is wrong with the file now. */
  private problem?: string;
  private timer?: NodeJS.Timeout;
  private looking?: Promise<void>;

  /** Throws ConfigError when a list is broken. */
  constructor({ API_KEYS, API_KEYS_FILE }: Config) {
    this.fixed = API_KEYS === undefined ? [] : readKeyList(API_KEYS, 'API_KEYS');
    this.file = API_KEYS_FILE;
    if (this.file === undefined) this.replace(this.fixed);
    else this.take(readText(this.file));
  }

  /**
   * The content is compared and not the file's dates: Kubernetes swaps a link above the file, and some file systems
   * count whole seconds.
   */
  onApplicationBootstrap(): void {
    if (this.file !== undefined) this.timer = setInterval(() => void this.reload(), LOOK_AGAIN).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** Takes the same time for every key that it does not know, and says nothing of how near it came. */
  find(presented: string): ApiKey | undefined {
    const hash = sha256(presented);
    let found: Key | undefined;
    for (const key of this.keys) if (timingSafeEqual(key.entry.hash, hash)) found = key;
    return found?.access;
  }

  /** Reads the file again. When it is missing or broken the keys stay as they are. Never rejects. */
  reload(): Promise<void> {
    // On a file system that hangs, looks must not pile up.
    this.looking ??= this.look().finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async look(): Promise<void> {
    try {
      const text = await readFile(this.file!, 'utf8').catch(unreadable);
      if (text !== this.text) {
        this.take(text);
        this.logger.log(`API_KEYS_FILE was read again: ${this.keys.length} keys are valid`);
      }
      this.problem = undefined;
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.problem) this.logger.warn(`${message}. The keys stay as they were`);
      this.problem = message;
    }
  }

  private take(text: string): void {
    this.replace([...this.fixed, ...readKeyList(text, 'API_KEYS_FILE')]);
    this.text = text;
  }

  private replace(entries: readonly KeyEntry[]): void {
    assertDistinct(entries);
    const old = this.keys;
    this.keys = entries.map((entry) => old.find((key) => isSame(key.entry, entry)) ?? newKey(entry));
    for (const key of old) if (!this.keys.includes(key)) key.revoke();
  }
}

function newKey(entry: KeyEntry): Key {
  const revoking = new AbortController();
  setMaxListeners(0, revoking.signal); // a key may have any number of event streams open
  const { name, scopes, userId } = entry;
  const access = { name, scopes, userId, revoked: revoking.signal };
  return { entry, access, revoke: () => revoking.abort() };
}

const isSame = (one: KeyEntry, other: KeyEntry): boolean => JSON.stringify(one) === JSON.stringify(other);

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    return unreadable(error);
  }
}

function unreadable(error: unknown): never {
  const { code = 'unreadable' } = error as NodeJS.ErrnoException;
  throw new ConfigError(`API_KEYS_FILE must be a file that this user can read (${code})`);
}
