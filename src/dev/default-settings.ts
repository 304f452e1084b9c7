import { readFile } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { domains } from '../domains.ts';
import { HOST } from './ports.ts';
import { DEVELOPMENT_ISSUER } from './workload-issuer.ts';

/** The first `firebreak.toml` of a data directory: a small company, one agent, one target, every line explained. */
const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));

export const DEFAULT_TARGET = 'shop';

const requestSchema = z.object({ input: z.json() });

/** The input of the demo's request, for whoever tries the commands by hand. */
export async function exampleInput(): Promise<string> {
  const { input } = requestSchema.parse(
    JSON.parse(await readFile(join(PACKAGE, 'demo/request.json'), 'utf8')),
  );
  return `${JSON.stringify(input, undefined, 2)}\n`;
}

type Place = { directory: string; port: number; ports: readonly number[] };

export function defaultSettings({ directory, port, ports }: Place): string {
  const addresses = domains.map((domain, index) => `${domain} = "http://${HOST}:${ports[index] ?? 0}"`);
  return `# Settings of this Firebreak. \`firebreak dev\` made this file once and only reads it from now on.
# An unknown or missing key refuses to start with its name. Paths are relative to this file.

[deployment]
name = "development"
# Where agents and people reach everything; \`firebreak dev --port N\` replaces the port for one run.
origin = "http://${HOST}:${port}"
mode = "development"

# Where the domains reach each other. \`firebreak dev\` takes other ports for a run where these are in use.
[addresses]
${addresses.join('\n')}

# Who may approve. Each person has one Slack account: TEAM/USER.
[[people]]
id = "alice"
name = "Alice Adams"
slack = "T0FIREBREAK/U0ALICE"

[[people]]
id = "bob"
name = "Bob Brown"
slack = "T0FIREBREAK/U0BOB"

[[people]]
id = "carol"
name = "Carol Clark"
slack = "T0FIREBREAK/U0CAROL"

# Dana answers for the agent below and therefore never approves what it asks.
[[people]]
id = "dana"
name = "Dana Davis"
slack = "T0FIREBREAK/U0DANA"

# A member of no group, who may look and not approve.
[[people]]
id = "erin"
name = "Erin Evans"
slack = "T0FIREBREAK/U0ERIN"

# Policies name groups; a request is shown to the members of those that may approve it.
[[groups]]
id = "operators"
members = ["alice", "bob", "dana"]

[[groups]]
id = "security"
members = ["carol"]

# Who says which workload a process is. This issuer's private key stands in keys/workload.
[[issuers]]
issuer = "${DEVELOPMENT_ISSUER}"
jwks = "trust/issuer.jwks"

# One workload, one agent: exact issuer, subject and audience, no wildcards.
[[workloads]]
issuer = "${DEVELOPMENT_ISSUER}"
subject = "cleanup-agent"
audience = "firebreak"
agent = "cleanup-agent"
agentClass = "maintenance"
owner = "dana"
tenant = "acme"
environment = "production"
purposes = ["cleanup"]
risk = "low"

# What can be acted on. \`${DEFAULT_TARGET}\` is the PostgreSQL database that \`firebreak dev\` makes beside its own.
[[targets]]
name = "${DEFAULT_TARGET}"
kind = "postgres"
tenant = "acme"
environment = "production"
sensitivity = "internal"

# What can be done: folders that hold one folder an action, and npm packages.
[actions]
directories = [${JSON.stringify(pathFrom(directory, 'activities/actions'))}]
packages = []

[policies]
directory = ${JSON.stringify(pathFrom(directory, 'policies'))}

# Where cards are posted. The stand-in has a channel of this name.
[slack]
team = "T0FIREBREAK"
channel = "C0APPROVALS"

[limits]
# How long a request waits for people before it expires.
approvalMinutes = 60
# How long an agent's session lives.
sessionMinutes = 60
# Approvals by Slack click for one tenant and environment in any sixty minutes.
relayedPerHour = 20
`;
}

/** Relative where the data stands inside the clone, so that both can move together. */
function pathFrom(directory: string, path: string): string {
  const inside = relative(PACKAGE, directory);
  if (inside.startsWith('..') || isAbsolute(inside)) return `${PACKAGE}${path}`;
  return relative(directory, `${PACKAGE}${path}`).split(sep).join('/');
}
