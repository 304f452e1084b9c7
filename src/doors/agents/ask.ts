import { z } from 'zod';
import type { ActionDefinition } from '../../action/define.ts';
import type { ActionManifest } from '../../action/manifest.ts';
import type { RequestContent } from '../../action/request.ts';
import { canonicalText } from '../../canonical.ts';
import { Refusal } from '../../refusal.ts';
import type { Agent } from './authenticate.ts';
import type { Door } from './door.ts';
import { type Fault, faultsOfIssues, listed } from './faults.ts';

/** What an agent asks, after its form was checked: an action, its input, and the target that the input names. */
export type Ask = {
  manifest: ActionManifest;
  input: RequestContent['input'];
  target: string;
  resource: string;
  /** The agent's own words, unverified. */
  justification: string | undefined;
};

const bodySchema = z.strictObject({
  action: z.string().min(1).max(128),
  input: z.unknown(),
  justification: z.string().min(1).max(2_000).optional(),
  changeTicket: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'expected 1 to 128 printable characters without spaces')
    .optional(),
});

/** Every fault of body and input in one answer. */
export function readAsk(body: unknown, door: Door, agent: Agent): Ask {
  const parsed = bodySchema.safeParse(body);
  const definition = definitionOf(body, door);
  const input = definition?.input.safeParse(inputOf(body));
  const faults: Fault[] = [
    ...(parsed.success ? [] : faultsOfIssues(parsed.error.issues)),
    ...(input === undefined || input.success ? [] : faultsOfIssues(input.error.issues, ['input'])),
  ];
  if (!parsed.success || input?.success === false) {
    throw new Refusal('INVALID_INPUT', 'expected a body of the form that /v1/actions shows', {
      details: { faults: listed(faults) },
    });
  }
  if (definition === undefined || input === undefined) {
    throw new Refusal('UNKNOWN_ACTION', `no action is called ${parsed.data.action}`);
  }
  const { justification, changeTicket } = parsed.data;
  return {
    manifest: door.manifests.find(definition.name),
    // The form that is shown, hashed and planned: parsed, with its defaults, as plain data.
    input: z.json().parse(JSON.parse(canonicalText(input.data))),
    target: targetOf(definition, input.data, { door, agent }),
    resource: definition.resource(input.data),
    justification: wordsOf(justification, changeTicket),
  };
}

const namedSchema = z.object({ action: z.string() });
const withInputSchema = z.object({ input: z.unknown() });

function definitionOf(body: unknown, door: Door): ActionDefinition | undefined {
  const named = namedSchema.safeParse(body);
  return named.success ? door.definitions.get(named.data.action) : undefined;
}

function inputOf(body: unknown): unknown {
  return withInputSchema.safeParse(body).data?.input;
}

/** One answer for a target of somebody else and for one that is not there: the door is no directory. */
function targetOf(
  definition: ActionDefinition,
  input: unknown,
  { door, agent }: { door: Door; agent: Agent },
) {
  const name = definition.target(input);
  const { tenant, environment } = agent.claims;
  const found = door.settings.targets.find(
    (target) =>
      target.name === name &&
      target.kind === definition.targetKind &&
      target.tenant === tenant &&
      target.environment === environment,
  );
  if (found === undefined) {
    throw new Refusal(
      'NOT_PERMITTED',
      `this session reaches no ${definition.targetKind} target of that name`,
    );
  }
  return found.name;
}

function wordsOf(justification: string | undefined, changeTicket: string | undefined): string | undefined {
  const words = [justification, changeTicket === undefined ? undefined : `change ticket: ${changeTicket}`];
  const said = words.filter((line) => line !== undefined);
  return said.length === 0 ? undefined : said.join('\n');
}
