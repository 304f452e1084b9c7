import { resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { type Domain, domains, loginOf } from '../domains.ts';
import { Refusal } from '../refusal.ts';
import type { Settings } from '../settings.ts';
import { endOrphans } from './children.ts';
import { type DataDirectory, dataDirectory } from './data-directory.ts';
import { lockDataDirectory } from './data-lock.ts';
import { type DomainWorld, environmentOf, SLACK_PREFIX } from './domain-environment.ts';
import { type Launched, launch } from './launch.ts';
import { type PartName, Parts } from './parts.ts';
import { SUPERUSER } from './postgres-server.ts';
import { type Ready, ReadyFiles } from './ready-file.ts';
import type { RunChoices } from './run-settings.ts';
import { ensureSecrets } from './secrets.ts';

/**
 * `firebreak dev`: every part of Firebreak on this machine, as one user, from one data directory. It promises that
 * one directory has one run, that a part which dies comes back, and that nothing stays behind: after `stop`, after
 * `kill -9` of itself, and at the next start. It carries no claim: all domains are one user here.
 */
export type DevOptions = RunChoices & {
  /** The data directory; made when absent. */
  data: string;
  /** Gets what also stands in `ready.json` of the data directory. */
  readyFile?: string | undefined;
  logLevel?: DomainWorld['logLevel'];
  /** What a person should know, a line each. */
  say?: (line: string) => void;
  /** Gives up starting. */
  signal?: AbortSignal;
};

export type RunningDev = {
  /** As in the ready file now; pids change when a part is started again. */
  ready(): Ready;
  data: DataDirectory;
  settings: Settings;
  urls: DevUrls;
  /** Where people click, for `createSlackPerson`. */
  slack(): { page: string; botToken: string; signingSecret: string; channel: string };
  /** The whole environment of a domain's process: what somebody who captured it would hold. */
  environmentOf(domain: Domain): NodeJS.ProcessEnv;
  /** A part that is ended by this stays down until `restart`; one that ends otherwise comes back by itself. */
  kill(name: PartName, signal: NodeJS.Signals): Promise<void>;
  /** Ends it in order where it runs, and starts it; resolves when it is ready. */
  restart(name: PartName): Promise<void>;
  /** Ends everything in order and leaves no process. Safe to call twice. */
  stop(): Promise<void>;
};

/** Ways into the databases, for tests that look and tests that attack. */
export type DevUrls = {
  superuser(database: 'firebreak' | 'credentials' | 'postgres'): string;
  shopSuperuser: string;
  /** As one domain has it. */
  login(domain: Domain, database?: 'firebreak' | 'credentials'): string;
};

/** Once it resolves everything answers. DATA_IN_USE where another run has the directory. */
export async function startDev(options: DevOptions): Promise<RunningDev> {
  const data = dataDirectory(options.data);
  const run = new Run(data, options, await lockDataDirectory(data.root));
  try {
    await run.start();
  } catch (error) {
    await run.stop();
    throw error;
  }
  return run.handle();
}

class Run {
  readonly #data: DataDirectory;
  readonly #options: DevOptions;
  readonly #lock: { release(): Promise<void> };
  readonly #parts: Parts;
  readonly #readyFiles: ReadyFiles;
  readonly #say: (line: string) => void;
  #origin: FastifyInstance | undefined;
  #launched: Launched | undefined;
  #stopped: Promise<void> | undefined;

  constructor(data: DataDirectory, options: DevOptions, lock: { release(): Promise<void> }) {
    this.#data = data;
    this.#options = options;
    this.#lock = lock;
    this.#say = options.say ?? (() => undefined);
    this.#parts = new Parts({ data, say: this.#say, changed: () => this.#tellPids() });
    const { readyFile } = options;
    this.#readyFiles = new ReadyFiles([data.ready, ...(readyFile === undefined ? [] : [resolve(readyFile)])]);
    options.signal?.addEventListener('abort', () => this.#parts.close(), { once: true });
    if (options.signal?.aborted === true) this.#parts.close();
  }

  async start(): Promise<void> {
    // Whoever waits for the file must not find that of an earlier run.
    await this.#readyFiles.remove();
    await endOrphans(this.#data.root, this.#say);
    const launched = await launch({
      data: this.#data,
      secrets: await ensureSecrets(this.#data.secrets),
      parts: this.#parts,
      choices: this.#options,
      say: this.#say,
      listening: (origin) => {
        this.#origin = origin;
      },
    });
    this.#launched = launched;
    await this.#readyFiles.write(this.#ready(launched));
  }

  async stop(): Promise<void> {
    this.#stopped ??= this.#end();
    await this.#stopped;
  }

  handle(): RunningDev {
    const launched = this.#launched;
    if (launched === undefined) throw new TypeError('expected a run that has started');
    return {
      ready: () => this.#ready(launched),
      data: this.#data,
      settings: launched.settings,
      urls: urlsOf(launched.world),
      slack: () => ({
        page: this.#ready(launched).slack,
        botToken: launched.world.secrets.slackBotToken,
        signingSecret: launched.world.secrets.slackSigningSecret,
        channel: launched.settings.slack.channel,
      }),
      environmentOf: (domain) => environmentOf(domain, launched.world),
      kill: async (name, signal) => await this.#parts.of(name).kill(signal),
      restart: async (name) => await this.#parts.of(name).restart(),
      stop: async () => await this.stop(),
    };
  }

  async #end(): Promise<void> {
    this.#launched = undefined;
    this.#parts.close();
    await this.#readyFiles.remove();
    // Domains first: what they are in the middle of still needs Temporal and the databases.
    await this.#parts.stop(domains);
    await this.#origin?.close();
    await this.#parts.stop(['temporal']);
    await this.#parts.stop(['postgres', 'shop']);
    await this.#parts.closeLogs();
    // Nothing lives any more: this forgets the records, and would end what got away.
    await endOrphans(this.#data.root, this.#say);
    await this.#lock.release();
  }

  #tellPids(): void {
    if (this.#launched === undefined) return;
    this.#readyFiles
      .write(this.#ready(this.#launched))
      .catch((error: unknown) => this.#say(`the ready file could not be written: ${String(error)}`));
  }

  #ready({ settings, world, agents }: Launched): Ready {
    const { origin } = settings.deployment;
    const [workloadKey] = Object.values(agents);
    return {
      origin,
      slack: `${origin}${SLACK_PREFIX}`,
      ledger: `${origin}/ledger`,
      ...(workloadKey === undefined ? {} : { workloadKey }),
      agents,
      pids: { supervisor: process.pid, ...this.#parts.pids() },
      addresses: { ...settings.addresses, temporal: world.temporalAddress },
      data: this.#data.root,
    };
  }
}

function urlsOf({ secrets, ownUrl, shopAdminUrl }: DomainWorld): DevUrls {
  return {
    superuser: (database) => ownUrl(SUPERUSER, secrets.superuser, database),
    get shopSuperuser() {
      if (shopAdminUrl === undefined)
        throw new Refusal('CONFIG_INVALID', 'no target is embedded in this run');
      return shopAdminUrl;
    },
    login: (domain, database = 'firebreak') => ownUrl(loginOf(domain), secrets.logins[domain], database),
  };
}
