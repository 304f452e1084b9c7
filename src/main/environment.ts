import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Domain, domains } from '../domains.ts';
import { Refusal } from '../refusal.ts';

/**
 * The only place that reads the environment, in one strict schema that fails before anything starts.
 * Every secret may come as `NAME_FILE` instead, the path of a file that holds it.
 */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  /** A log line can hold the configuration and never the secret. */
  toJSON(): string {
    return '[secret]';
  }
  toString(): string {
    return '[secret]';
  }
}

const secret = z
  .string()
  .min(1)
  .transform((value) => new Secret(value));

const HOST_AND_PORT = /^(?<host>\[[0-9a-f:]+\]|[\w.-]+):(?<port>\d{1,5})$/i;

const listen = z
  .string()
  .regex(HOST_AND_PORT, 'expected host:port')
  .transform((text) => {
    const { host = '', port } = HOST_AND_PORT.exec(text)?.groups ?? {};
    return { host: host.replaceAll(/[[\]]/g, ''), port: Number(port) };
  });

const schema = z.object({
  FIREBREAK_CONFIG: z.string().min(1),
  /** The folder of this domain's own keys. */
  FIREBREAK_KEYS: z.string().min(1),
  /** Files that outsiders may read: the key manifest and the signed action manifests. */
  FIREBREAK_KEY_MANIFEST: z.string().min(1),
  FIREBREAK_ACTION_MANIFEST: z.string().min(1),
  /** The pinned hash of the offline roots. */
  FIREBREAK_ROOTS: z.string().length(43),
  /** Where to listen, when the address that others call is not this machine's own: a container, a TLS proxy. */
  FIREBREAK_LISTEN: listen.optional(),
  FIREBREAK_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  /** A path, for tests: what stands there names the point at which the process dies; see `src/crash-point.ts`. */
  FIREBREAK_CRASH_POINTS: z.string().min(1).optional(),
  SLACK_BOT_TOKEN: secret.optional(),
  SLACK_SIGNING_SECRET: secret.optional(),
  SLACK_API_URL: z.url().optional(),
});

export type Environment = z.infer<typeof schema> & {
  databaseUrl: Secret;
  databaseUrlOwn: Secret | undefined;
};

/** @param variables the process's environment, handed in so that tests can say another one. */
export function readEnvironment(domain: Domain, variables: NodeJS.ProcessEnv): Environment {
  const settled = withFiles(variables);
  const parsed = schema.safeParse(settled);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Refusal('CONFIG_INVALID', `environment of ${domain}: ${faults.join('; ')}`, {
      cause: parsed.error,
    });
  }
  refuseForeignLogins(domain, settled);
  const url = settled[databaseVariable(domain)];
  if (url === undefined) throw new Refusal('CONFIG_INVALID', `expected ${databaseVariable(domain)}`);
  const own = settled['FIREBREAK_CREDENTIALS_DATABASE_URL'];
  return {
    ...parsed.data,
    databaseUrl: new Secret(url),
    databaseUrlOwn: own === undefined ? undefined : new Secret(own),
  };
}

export function databaseVariable(domain: Domain): string {
  return `FIREBREAK_DATABASE_URL_${domain.toUpperCase()}`;
}

/** The variable that holds a target's login, in planner and executor alone, each with its own value. */
export function targetVariable(target: string): string {
  return `FIREBREAK_TARGET_URL_${target.toUpperCase().replaceAll('-', '_')}`;
}

export function hasTargetUrl(target: string, variables: NodeJS.ProcessEnv): boolean {
  const name = targetVariable(target);
  return variables[name] !== undefined || variables[`${name}_FILE`] !== undefined;
}

export function readTargetUrl(target: string, variables: NodeJS.ProcessEnv): Secret {
  const url = withFiles(variables)[targetVariable(target)];
  if (url === undefined) throw new Refusal('CONFIG_INVALID', `expected ${targetVariable(target)}`);
  return new Secret(url);
}

/** A domain that holds another one's login is a wall with a hole: refuse to start. */
function refuseForeignLogins(domain: Domain, variables: NodeJS.ProcessEnv): void {
  const foreign = domains.find(
    (other) => other !== domain && variables[databaseVariable(other)] !== undefined,
  );
  if (foreign !== undefined) {
    throw new Refusal(
      'CONFIG_INVALID',
      `${domain} was given ${databaseVariable(foreign)}, which is not its own`,
    );
  }
}

function withFiles(variables: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const settled: NodeJS.ProcessEnv = { ...variables };
  for (const [name, file] of Object.entries(variables)) {
    if (file === undefined || !/^(FIREBREAK|SLACK)_\w+_FILE$/.test(name)) continue;
    try {
      settled[name.replace(/_FILE$/, '')] = readFileSync(file, 'utf8').trim();
    } catch (cause) {
      throw new Refusal('CONFIG_INVALID', `${name} names a file that cannot be read`, { cause });
    }
  }
  return settled;
}
