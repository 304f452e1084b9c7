import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { type AgentClient, createAgentClient, type RequestView } from '../../cli/agent-client.ts';
import { openSession, readJsonFile, workloadKeySchema } from '../../cli/open-session.ts';
import { openDatabase } from '../../database/pool.ts';
import { loadManifest } from '../../identity/manifest.ts';
import { Refusal } from '../../refusal.ts';
import { createSlackPerson } from '../slack-person.ts';
import type { RunningDev } from '../supervisor.ts';
import { runAttacks } from './attacks.ts';
import { readStory, type Story } from './story.ts';
import { openTargetWitness, type TargetWitness } from './target.ts';

/**
 * The main job, whole: an agent asks to delete rows of a production database, a person approves in Slack, the rows are
 * deleted once, and the ledger proves it. Everything it says was read from the running parts.
 */
export type DemoOptions = {
  dev: RunningDev;
  /** The target's administrator, who counts and reads the target's own record. */
  adminUrl: string;
  /** JSON file of the request; the user may edit it. */
  requestFile: string;
  /** Click Approve for the user. */
  yes: boolean;
  /** Afterwards, try the same doors wrongly. */
  attacks: boolean;
  say: (line: string) => void;
};

export type DemoReport = {
  requestId: string;
  digest: string;
  outcome: string;
  votes: Story['votes'];
  capability: Story['capability'];
  target: { before: number; after: number };
  ledger: { origin: string; size: number; root: string } | null;
  attacks: { name: string; code: string }[];
  traceId: string;
};

const requestSchema = z.looseObject({ action: z.string(), input: z.looseObject({ table: z.string() }) });

/** Throws where anything is not as it must be: the report of a demo that does not throw is a success. */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const { dev, say } = options;
  const text = await readRequest(options.requestFile);
  const { action, input } = text.parsed;
  const witness = await openTargetWitness(options.adminUrl);
  try {
    const before = await witness.count(input.table);
    say(`target    ${input.table} has ${before} rows`);
    const { client, held } = await openClient(dev, say);
    const submitted = await client.submit(text.raw);
    say(`request   ${submitted.requestId} asks for ${action}: accepted, durable, not decided`);
    const view = await followTo(client, options, submitted.requestId);
    const after = await witness.count(input.table);
    say(`target    ${input.table} has ${after} rows, ${before - after} fewer`);
    const attacks =
      options.attacks && view.state === 'done'
        ? await runAttacks({ dev, held, client, done: view.requestId, request: text.raw }, say)
        : [];
    return await concluded(options, { view, before, after, witness, attacks });
  } finally {
    await witness.close();
  }
}

async function readRequest(file: string) {
  const raw = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Refusal('INVALID_INPUT', `${file} cannot be read`, { cause });
  });
  try {
    return { raw, parsed: requestSchema.parse(JSON.parse(raw)) };
  } catch (cause) {
    throw new Refusal('INVALID_INPUT', `expected a request with action and input.table in ${file}`, {
      cause,
    });
  }
}

async function openClient(dev: RunningDev, say: (line: string) => void) {
  const { origin, workloadKey } = dev.ready();
  if (workloadKey === undefined) {
    throw new Refusal('CONFIG_INVALID', 'expected an agent of the development issuer in firebreak.toml');
  }
  const workload = await readJsonFile(workloadKey, workloadKeySchema);
  const held = await openSession({ origin, workload });
  say(`session   ${held.session.sessionId} for ${workload.subject}, its token bound to a key made just now`);
  return { held, client: createAgentClient({ origin, ...held }) };
}

async function followTo(client: AgentClient, options: DemoOptions, requestId: string): Promise<RequestView> {
  const { dev, say, yes } = options;
  const waiting = await client.waitFor(requestId, {
    timeoutMs: ASKED_TIMEOUT_MS,
    until: (view) => view.digest !== undefined,
  });
  if (waiting.digest !== undefined) {
    const { needed, groups } = waiting.approvals ?? { needed: 0, groups: [] };
    say(`plan      ready; digest ${waiting.digest}`);
    say(`approval  ${needed} of ${groups.join(', ')} must approve, in Slack: ${dev.ready().slack}`);
    if (yes) await approve(options, requestId);
    else say('waiting   for you: choose a person there and click Approve or Deny');
  }
  const view = await client.waitFor(requestId, {});
  const code = z.string().safeParse(view.detail['code']).data;
  say(`outcome   ${view.state}${code === undefined ? '' : ` (${code})`}`);
  return view;
}

const ASKED_TIMEOUT_MS = 60_000;

/** As the first member of an asked group who does not answer for the agent. */
async function approve({ dev, say }: DemoOptions, requestId: string): Promise<void> {
  const { settings } = dev;
  const owners = new Set(settings.workloads.map(({ owner }) => owner));
  const members = new Set(settings.groups.flatMap((group) => group.members));
  const person = settings.people.find(({ id }) => members.has(id) && !owners.has(id));
  if (person === undefined) throw new Refusal('QUORUM_UNREACHABLE', 'nobody in firebreak.toml could approve');
  const slack = createSlackPerson(dev.slack());
  const card = await slack.findCard(requestId);
  const [, user = ''] = person.slack.split('/');
  await slack.click(user, card, 'Approve');
  say(`approval  ${person.name} clicked Approve`);
}

type Ended = {
  view: RequestView;
  before: number;
  after: number;
  witness: TargetWitness;
  attacks: DemoReport['attacks'];
};

async function concluded(options: DemoOptions, ended: Ended): Promise<DemoReport> {
  const { view, before, after, witness, attacks } = ended;
  const { dev, say } = options;
  const { requestId, digest = '', state, traceId } = view;
  const { count, keptRows } = await witness.effects(requestId);
  say(`witness   the target's own record has ${count} effect, ${keptRows} rows kept for undo`);
  const story = await tellStory(dev, requestId);
  const { verdict, votes, capability } = story;
  if (verdict.kind === 'broken') {
    throw new Refusal('LEDGER_INVALID', `${verdict.breach.invariant}: ${verdict.breach.sentence}`);
  }
  const { origin, size, root } = verdict;
  say(`ledger    verifies: ${size} entries of ${origin}, root ${root}`);
  if (state === 'done' && (count !== 1 || before - after !== keptRows)) {
    throw new Refusal('INTERNAL', `expected one effect of ${before - after} rows, the target has ${count}`);
  }
  if (state !== 'done' && count !== 0) {
    throw new Refusal('INTERNAL', `request is ${state}, and the target has ${count} effects`);
  }
  return {
    requestId,
    digest,
    outcome: state,
    votes,
    capability,
    target: { before, after },
    ledger: { origin, size, root },
    attacks,
    traceId,
  };
}

async function tellStory(dev: RunningDev, requestId: string): Promise<Story> {
  const database = openDatabase(dev.urls.login('ledger'), () => undefined);
  try {
    const pin = (await readFile(dev.data.pin, 'utf8')).trim();
    const keys = await loadManifest(dev.data.keyManifest, pin);
    return await readStory({ database, keys, settings: dev.settings }, requestId);
  } finally {
    await database.close();
  }
}
