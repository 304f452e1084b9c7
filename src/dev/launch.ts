import type { FastifyInstance } from 'fastify';
import { type Domain, domains } from '../domains.ts';
import { createLog, type Log } from '../log.ts';
import { Refusal } from '../refusal.ts';
import type { Settings } from '../settings.ts';
import { bootstrap } from './bootstrap.ts';
import { type ChildLog, openChildLog } from './child-log.ts';
import type { DataDirectory } from './data-directory.ts';
import { type PreparedTarget, prepareOwnDatabase, prepareTarget } from './databases.ts';
import { DEFAULT_TARGET } from './default-settings.ts';
import {
  type DomainWorld,
  environmentOf,
  type LoginUrl,
  needsTemporal,
  SLACK_PREFIX,
} from './domain-environment.ts';
import { startDomain } from './domain-process.ts';
import { createOrigin } from './origin.ts';
import { readTargetLogins, type TargetLogins } from './own-targets.ts';
import type { Parts } from './parts.ts';
import { HOST } from './ports.ts';
import { startPostgres } from './postgres-server.ts';
import { missingParts } from './readiness.ts';
import { prepareRunSettings, type RunChoices } from './run-settings.ts';
import type { Secrets } from './secrets.ts';
import { registerSlackStandIn } from './slack-stand-in/server.ts';
import { temporalCliPath } from './temporal-cli.ts';
import { startTemporalServer } from './temporal-server.ts';
import { together } from './together.ts';

/** The order of a start: what waits for nothing starts side by side, the domains when what they need is there. */
export type Stage = {
  data: DataDirectory;
  secrets: Secrets;
  parts: Parts;
  choices: RunChoices & { logLevel?: DomainWorld['logLevel'] };
  say: (line: string) => void;
  /** Told as soon as it listens, so that whoever stops closes it. */
  listening: (origin: FastifyInstance) => void;
};

export type Launched = { world: DomainWorld; settings: Settings; agents: Record<string, string> };

/** Of PostgreSQL and Temporal what concerns the whole server; a refused statement is its caller's to tell. */
const SERVER_FAULTS = /\b(WARNING|FATAL|PANIC)\b/;
/** Plain lines of a domain are the Temporal SDK's, and the last words of Node. */
const DOMAIN_FAULTS = /\[ERROR\]|Error\b/;

/** When it fails some parts may run: the caller ends them. */
export async function launch(stage: Stage): Promise<Launched> {
  const { settings, temporalPort } = await prepareRunSettings(stage.data, stage.choices);
  const trust = bootstrap(stage.data, settings, Date.now);
  const temporal = startTemporal(stage, temporalPort);
  const world = makeWorld(stage, { settings, temporalPort, trust });
  const [ready] = await together([
    world,
    temporal,
    ...domains.map(async (domain) => {
      // Temporal takes longest to start: until then the processors are there for those who can do without.
      if (needsTemporal(domain)) await temporal;
      await startDomainPart(stage, domain, await world);
    }),
  ]);
  return { world: ready, settings, agents: (await trust).agents };
}

type Preparation = { settings: Settings; temporalPort: number; trust: ReturnType<typeof bootstrap> };

/** Databases, keys and the origin: what every domain needs. */
async function makeWorld(stage: Stage, { settings, temporalPort, trust }: Preparation): Promise<DomainWorld> {
  const [{ pin }, ownUrl, { shopAdminUrl, targets }] = await together([
    trust,
    startOwnDatabase(stage),
    startTargets(stage, settings, trust),
    startOrigin(stage, settings),
  ]);
  return {
    data: stage.data,
    secrets: stage.secrets,
    pin,
    origin: settings.deployment.origin,
    temporalAddress: `${HOST}:${temporalPort}`,
    ownUrl,
    shopAdminUrl,
    targets,
    logLevel: stage.choices.logLevel ?? 'info',
  };
}

async function startOwnDatabase(stage: Stage): Promise<LoginUrl> {
  const url = await startPostgresPart(stage, 'postgres');
  const applied = await prepareOwnDatabase(url, stage.secrets);
  if (applied.length > 0) stage.say(`databases brought up to date: ${applied.length} migrations`);
  return url;
}

type Targets = Pick<DomainWorld, 'shopAdminUrl' | 'targets'>;

/** Databases of the user's own as they were installed, and the embedded one where nothing took its place. */
async function startTargets(stage: Stage, settings: Settings, trust: Promise<unknown>): Promise<Targets> {
  const targets = new Map<string, TargetLogins>();
  for (const name of [DEFAULT_TARGET, ...settings.targets.map((target) => target.name)]) {
    const logins = await readTargetLogins(stage.data, name);
    if (logins !== undefined) targets.set(name, logins);
  }
  if (targets.has(DEFAULT_TARGET)) return { shopAdminUrl: undefined, targets };
  const { adminUrl, logins } = await startShop(stage, trust);
  return { shopAdminUrl: adminUrl, targets: targets.set(DEFAULT_TARGET, logins) };
}

/** The target's two keys are made by the bootstrap. */
async function startShop(stage: Stage, trust: Promise<unknown>): Promise<PreparedTarget> {
  const [url] = await together([startPostgresPart(stage, 'shop'), trust]);
  const { log, close } = openLog(stage, 'target');
  const prepared = await prepareTarget({ url, secrets: stage.secrets, data: stage.data, log });
  await close();
  return prepared;
}

async function startPostgresPart(stage: Stage, name: 'postgres' | 'shop'): Promise<LoginUrl> {
  const { data, secrets, parts } = stage;
  // The folder of Firebreak's own databases is called as the product is.
  const folder = name === 'postgres' ? 'firebreak' : name;
  const superuserPassword = name === 'postgres' ? secrets.superuser : secrets.shopSuperuser;
  let url: LoginUrl | undefined;
  const start = async (log: ChildLog) => {
    const server = await startPostgres({
      directory: data.root,
      name: folder,
      superuserPassword,
      log: log.hear,
    });
    url = server.url;
    return server;
  };
  await parts.start({ name, start, signal: 'SIGINT', worthSaying: SERVER_FAULTS });
  if (url === undefined) throw new Refusal('INTERNAL', `${name} did not start`);
  return url;
}

async function startTemporal({ data, parts }: Stage, port: number): Promise<void> {
  const cli = temporalCliPath(process.env);
  const start = async (log: ChildLog) =>
    await startTemporalServer({ cli, databaseFile: data.temporal, port, log: log.hear });
  await parts.start({ name: 'temporal', start, signal: 'SIGTERM', worthSaying: SERVER_FAULTS });
}

async function startDomainPart({ parts }: Stage, domain: Domain, world: DomainWorld): Promise<void> {
  const environment = environmentOf(domain, world);
  const start = async (log: ChildLog) => await startDomain({ domain, environment, log });
  await parts.start({ name: domain, start, signal: 'SIGTERM', worthSaying: DOMAIN_FAULTS });
}

async function startOrigin(stage: Stage, settings: Settings): Promise<void> {
  const { data, secrets, parts } = stage;
  const { log, close } = openLog(stage, 'origin');
  const missing = async () => await missingParts(parts.all, settings.addresses);
  const server = await createOrigin({ settings, missing, log });
  server.addHook('onClose', close);
  const { team, channel } = settings.slack;
  registerSlackStandIn(server, {
    prefix: SLACK_PREFIX,
    botToken: secrets.slackBotToken,
    signingSecret: secrets.slackSigningSecret,
    eventsUrl: `${settings.addresses.people}/slack/events`,
    team,
    channels: [{ id: channel, name: 'approvals' }],
    people: settings.people,
    stateFile: data.slack,
    log,
  });
  const port = Number(new URL(settings.deployment.origin).port);
  try {
    await server.listen({ host: HOST, port });
  } catch (cause) {
    throw new Refusal('SETUP_FAILED', `port ${port} on ${HOST} cannot be had`, { cause });
  }
  stage.listening(server);
}

/** A log of our own, treated as a child's: a file, and what a person should know as a line. */
function openLog({ data, say }: Stage, name: string): { log: Log; close: () => Promise<void> } {
  const lines = openChildLog({ name, file: data.log(name), say, worthSaying: DOMAIN_FAULTS });
  const write = (text: string) => lines.hear(text.trimEnd());
  return { log: createLog(name, 'info', { write }), close: lines.close };
}
