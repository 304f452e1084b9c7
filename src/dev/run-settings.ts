import { isAbsolute, resolve } from 'node:path';
import { stringify } from 'smol-toml';
import { domains } from '../domains.ts';
import { Refusal } from '../refusal.ts';
import { parseSettings, readSettings, type Settings } from '../settings.ts';
import type { DataDirectory } from './data-directory.ts';
import { defaultSettings, exampleInput } from './default-settings.ts';
import { findFreePort, HOST, isFree } from './ports.ts';
import { readIfThere, replaceFile } from './private-file.ts';

/**
 * The settings of one run: the user's file with this run's ports and absolute paths, written beside it for all
 * processes to read. The user's own text stays as it is.
 */
export type RunChoices = {
  /** 0 takes any free port; without one the settings file decides. */
  port?: number | undefined;
  policies?: string | undefined;
  actions?: string | undefined;
};

export type RunSettings = { settings: Settings; temporalPort: number };

export const DEFAULT_PORT = 8_420;
const PORT_MAX = 65_535;

export async function prepareRunSettings(data: DataDirectory, choices: RunChoices): Promise<RunSettings> {
  const taken = new Set<number>();
  await ensureSettings(data, choices, taken);
  const own = await readSettings(data.settings);
  const port = await choosePort(choices.port ?? Number(new URL(own.deployment.origin).port), taken);
  const settings = {
    ...absolute(own, { data, choices }),
    deployment: { ...own.deployment, origin: `http://${HOST}:${port}`, mode: 'development' as const },
    addresses: await chooseAddresses(own, taken),
  };
  const temporalPort = await findFreePort(taken);
  const text = `# Made anew at each start of firebreak dev: edit ../firebreak.toml instead.\n${stringify(settings)}`;
  await replaceFile(data.runSettings, text, 0o600);
  return { settings: parseSettings(text, data.runSettings), temporalPort };
}

async function ensureSettings(data: DataDirectory, choices: RunChoices, taken: Set<number>): Promise<void> {
  if ((await readIfThere(data.example)) === undefined) {
    await replaceFile(data.example, await exampleInput(), 0o644);
  }
  if ((await readIfThere(data.settings)) !== undefined) return;
  const port = choices.port === 0 ? await findFreePort(taken) : (choices.port ?? DEFAULT_PORT);
  const step = port + domains.length > PORT_MAX ? -1 : 1;
  const ports = domains.map((_, index) => port + step * (index + 1));
  await replaceFile(data.settings, defaultSettings({ directory: data.root, port, ports }), 0o644);
}

async function choosePort(port: number, taken: Set<number>): Promise<number> {
  if (port === 0) return await findFreePort(taken);
  taken.add(port);
  if (await isFree(port)) return port;
  throw new Refusal(
    'SETUP_FAILED',
    `port ${port} on ${HOST} is in use: end that program, or choose another port with --port`,
  );
}

/** The configured ports where they are free, else others: nobody but the domains themselves uses them. */
async function chooseAddresses(own: Settings, taken: Set<number>): Promise<Settings['addresses']> {
  const addresses = { ...own.addresses };
  for (const domain of domains) {
    const wanted = Number(new URL(own.addresses[domain]).port);
    const fits = wanted !== 0 && !taken.has(wanted) && (await isFree(wanted));
    if (fits) taken.add(wanted);
    addresses[domain] = `http://${HOST}:${fits ? wanted : await findFreePort(taken)}`;
  }
  return addresses;
}

type Paths = { data: DataDirectory; choices: RunChoices };

function absolute(own: Settings, { data, choices }: Paths): Settings {
  const from = (path: string) => (isAbsolute(path) ? path : resolve(data.root, path));
  const { policies, actions } = choices;
  return {
    ...own,
    issuers: own.issuers.map((issuer) => ({ ...issuer, jwks: from(issuer.jwks) })),
    policies: { directory: policies === undefined ? from(own.policies.directory) : resolve(policies) },
    actions: {
      ...own.actions,
      directories: actions === undefined ? own.actions.directories.map(from) : [resolve(actions)],
    },
  };
}
