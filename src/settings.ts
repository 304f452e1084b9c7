import { readFile } from 'node:fs/promises';
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { domains } from './domains.ts';
import { Refusal } from './refusal.ts';

/**
 * `firebreak.toml`: everything that is neither a secret nor an address of infrastructure.
 * An unknown or missing key refuses to start with its name. Until people and groups live in the directory of
 * signed entries, this file is their bootstrap, and gate and credentials service read it themselves.
 */
const name = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'expected lower-case letters, digits and dashes');
const minutes = z
  .int()
  .min(1)
  .max(7 * 24 * 60);

const person = z.strictObject({
  id: name,
  name: z.string().min(1).max(80),
  /** `TEAM/USER` of the person's one Slack account. */
  slack: z.string().regex(/^T[A-Z0-9]+\/[UW][A-Z0-9]+$/),
});

const group = z.strictObject({ id: name, members: z.array(name).min(1) });

/** Exact `iss`, `sub`, `aud`: no wildcards, no templates. */
const workload = z.strictObject({
  issuer: z.string().min(1),
  subject: z.string().min(1),
  audience: z.string().min(1),
  agent: name,
  agentClass: name,
  /** The person who answers for this agent, and who therefore never approves what it asks. */
  owner: name,
  tenant: name,
  environment: name,
  purposes: z.array(name).min(1),
  risk: z.enum(['low', 'medium', 'high']),
});

const issuer = z.strictObject({
  issuer: z.string().min(1),
  /** A JWKS file with the issuer's public keys, relative to this file. */
  jwks: z.string().min(1),
});

const target = z.strictObject({
  name,
  kind: z.enum(['postgres']),
  tenant: name,
  environment: name,
  sensitivity: z.enum(['low', 'internal', 'confidential']),
});

const address = z.url({ protocol: /^https?$/ });

const settingsSchema = z.strictObject({
  deployment: z.strictObject({
    name,
    /** The one public origin in `dev`; the agents' door in production. */
    origin: address,
    /** `development` is marked on every card and in `/readyz`: all domains run as one user. */
    mode: z.enum(['development', 'production']),
  }),
  addresses: z.strictObject(
    Object.fromEntries(domains.map((domain) => [domain, address])) as Record<
      (typeof domains)[number],
      typeof address
    >, // fromEntries forgets the names of the keys.
  ),
  people: z.array(person).min(1),
  groups: z.array(group).min(1),
  issuers: z.array(issuer),
  workloads: z.array(workload),
  targets: z.array(target),
  actions: z.strictObject({
    /** Folders that hold one folder an action, relative to this file. */
    directories: z.array(z.string()),
    /** npm packages that export `definition` and `effect` under `./NAME/definition` and so on. */
    packages: z.array(z.string()),
  }),
  policies: z.strictObject({ directory: z.string().min(1) }),
  slack: z.strictObject({ team: z.string().min(1), channel: z.string().min(1) }),
  limits: z.strictObject({
    /** How long a request waits for people before it expires. */
    approvalMinutes: minutes,
    /** How long a session lives. */
    sessionMinutes: minutes,
    /** Relayed approvals for one tenant and environment in any sixty minutes. */
    relayedPerHour: z.int().min(0).max(1_000),
  }),
});

export type Settings = z.infer<typeof settingsSchema>;
export type Workload = z.infer<typeof workload>;
export type Target = z.infer<typeof target>;

export async function readSettings(file: string): Promise<Settings> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `expected a settings file at ${file}`, { cause });
  }
  return parseSettings(text, file);
}

export function parseSettings(text: string, file: string): Settings {
  const parsed = settingsSchema.safeParse(parseToml(text, file));
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`);
    throw new Refusal('CONFIG_INVALID', `${file}: ${faults.join('; ')}`, { cause: parsed.error });
  }
  checkReferences(parsed.data, file);
  return parsed.data;
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    const where = cause instanceof TomlError ? ` at line ${cause.line}` : '';
    throw new Refusal('CONFIG_INVALID', `${file} is not TOML${where}`, { cause });
  }
}

/** What one table says of another one must be there, once. */
function checkReferences(settings: Settings, file: string): void {
  const fail = (message: string) => {
    throw new Refusal('CONFIG_INVALID', `${file}: ${message}`);
  };
  const once = (what: string, values: string[]) => {
    const twice = values.find((value, at) => values.indexOf(value) !== at);
    if (twice !== undefined) fail(`${what} ${twice} stands there twice`);
  };
  once(
    'person',
    settings.people.map(({ id }) => id),
  );
  once(
    'slack account',
    settings.people.map(({ slack }) => slack),
  );
  once(
    'group',
    settings.groups.map(({ id }) => id),
  );
  once(
    'target',
    settings.targets.map((target) => target.name),
  );
  once(
    'workload',
    settings.workloads.map(({ issuer, subject, audience }) => `${issuer} ${subject} ${audience}`),
  );
  const people = new Set(settings.people.map(({ id }) => id));
  for (const { id, members } of settings.groups) {
    for (const member of members)
      if (!people.has(member)) fail(`group ${id} names ${member}, who is no person`);
  }
  for (const { agent, owner } of settings.workloads) {
    if (!people.has(owner)) fail(`workload of ${agent} names owner ${owner}, who is no person`);
  }
  checkAgents(settings, fail);
}

/** One agent in two environments, tenants or classes is a shared identity: the failure that this product is against. */
function checkAgents(settings: Settings, fail: (message: string) => void): void {
  const seen = new Map<string, string>();
  for (const { agent, agentClass, environment, tenant, owner } of settings.workloads) {
    const place = `class ${agentClass}, environment ${environment}, tenant ${tenant}, owner ${owner}`;
    const before = seen.get(agent);
    if (before !== undefined && before !== place) {
      fail(`agent ${agent} is mapped to ${before} and to ${place}; give each its own identity`);
    }
    seen.set(agent, place);
  }
}
