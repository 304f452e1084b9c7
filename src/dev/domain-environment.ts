import { join } from 'node:path';
import { cacheDirectory } from '../../toolchain.mjs';
import { type Domain, loginOf } from '../domains.ts';
import { databaseVariable, targetVariable } from '../main/environment.ts';
import { childEnvironment } from './bound-child.ts';
import type { DataDirectory } from './data-directory.ts';
import type { TargetLogins } from './own-targets.ts';
import type { Secrets } from './secrets.ts';

/** What one domain's process is told: its own keys and login, and nothing of another one's. */
export type DomainWorld = {
  data: DataDirectory;
  secrets: Secrets;
  pin: string;
  origin: string;
  temporalAddress: string;
  /** `url(login, password, database)` of Firebreak's own server. */
  ownUrl: LoginUrl;
  /** The embedded target's administrator; undefined where `shop` is a database of the user's own. */
  shopAdminUrl: string | undefined;
  /** By target's name: the logins of planner and executor. */
  targets: ReadonlyMap<string, TargetLogins>;
  logLevel: 'debug' | 'info' | 'warn' | 'error';
};
export type LoginUrl = (login: string, password: string, database: string) => string;

export function environmentOf(domain: Domain, world: DomainWorld): NodeJS.ProcessEnv {
  const { data, secrets, ownUrl } = world;
  const login = (database: string) => ownUrl(loginOf(domain), secrets.logins[domain], database);
  return {
    ...childEnvironment(),
    // Parsed once, run nine times: it is over a second less of a start on two cores.
    NODE_COMPILE_CACHE: join(cacheDirectory(process.env), 'compiled'),
    FIREBREAK_CONFIG: data.runSettings,
    FIREBREAK_KEYS: data.keys(domain),
    FIREBREAK_KEY_MANIFEST: data.keyManifest,
    FIREBREAK_ACTION_MANIFEST: data.actionManifest,
    FIREBREAK_ROOTS: world.pin,
    FIREBREAK_LOG_LEVEL: world.logLevel,
    FIREBREAK_CRASH_POINTS: data.crash,
    [databaseVariable(domain)]: login('firebreak'),
    ...(domain === 'credentials' ? { FIREBREAK_CREDENTIALS_DATABASE_URL: login('credentials') } : {}),
    ...temporalOf(domain, world),
    ...targetOf(domain, world),
    ...slackOf(domain, world),
  };
}

const temporalDomains = new Set<Domain>(['gateway', 'people', 'orchestrator', 'planner', 'executor']);

export function needsTemporal(domain: Domain): boolean {
  return temporalDomains.has(domain);
}

function temporalOf(domain: Domain, { temporalAddress }: DomainWorld): NodeJS.ProcessEnv {
  return needsTemporal(domain) ? { TEMPORAL_ADDRESS: temporalAddress } : {};
}

function targetOf(domain: Domain, { targets }: DomainWorld): NodeJS.ProcessEnv {
  if (domain !== 'planner' && domain !== 'executor') return {};
  return Object.fromEntries([...targets].map(([name, logins]) => [targetVariable(name), logins[domain]]));
}

function slackOf(domain: Domain, { secrets, origin }: DomainWorld): NodeJS.ProcessEnv {
  if (domain !== 'people') return {};
  return {
    SLACK_BOT_TOKEN: secrets.slackBotToken,
    SLACK_SIGNING_SECRET: secrets.slackSigningSecret,
    SLACK_API_URL: `${origin}${SLACK_PREFIX}/api/`,
  };
}

export const SLACK_PREFIX = '/slack-stand-in';
