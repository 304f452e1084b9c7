import {
  getValidRequestEnvsPolicy,
  policySetTextToParts,
  policyToJson,
} from '@cedar-policy/cedar-wasm/nodejs';
import { cedarFault, type Place, type PolicyFile, policyFault } from './position.ts';

/** One Cedar policy and what its annotations say; README.md of `policies` documents them. */
export type Rule = {
  id: string;
  reason: string;
  effect: 'permit' | 'forbid';
  /** Votes that a permit asks for; the floor of the effect class may ask for more. */
  quorum: number;
  groups: string[];
  /** Names of the actions that it can apply to. */
  actions: string[];
  text: string;
  place: Place;
};

/** Decisions carry quorums up to this, and no more. */
export const QUORUM_MAX = 10;
const REASON_CHARACTERS_MAX = 400;
const ID = /^[a-z][a-z0-9-]{0,63}$/;
const GROUP = /^[a-z][a-z0-9-]{0,62}$/;
const QUORUM = /^(?:0|[1-9][0-9]?)$/;

export function readRules(file: PolicyFile, schema: PolicyFile): Rule[] {
  const parts = policySetTextToParts(file.text);
  if (parts.type === 'failure') throw cedarFault({ file, offset: 0 }, parts.errors);
  const [template] = parts.policy_templates;
  if (template !== undefined) throw policyFault(placeOf(file, template), 'expected a policy, got a template');
  return parts.policies.map((text) => readRule(text, placeOf(file, text), schema));
}

function placeOf(file: PolicyFile, part: string): Place {
  const at = Math.max(file.text.indexOf(part), 0);
  return { file, offset: Buffer.byteLength(file.text.slice(0, at)) };
}

function readRule(text: string, place: Place, schema: PolicyFile): Rule {
  const parsed = policyToJson(text);
  if (parsed.type === 'failure') throw cedarFault(place, parsed.errors);
  const { effect } = parsed.json;
  const annotations = new Annotations(parsed.json.annotations ?? {}, place);
  const id = annotations.take('id', ID, 'lower-case letters, digits and dashes');
  const reason = annotations.take('reason', /\S/, 'a sentence for people');
  if (Array.from(reason).length > REASON_CHARACTERS_MAX) {
    throw policyFault(place, `expected a @reason of at most ${REASON_CHARACTERS_MAX} characters`);
  }
  const obligations = effect === 'permit' ? readObligations(annotations, place) : { quorum: 0, groups: [] };
  annotations.refuseRest(effect);
  return { id, reason, effect, ...obligations, actions: actionsOf(text, schema), text, place };
}

function readObligations(annotations: Annotations, place: Place): Pick<Rule, 'quorum' | 'groups'> {
  const quorum = Number(annotations.take('quorum', QUORUM, `a whole number from 0 to ${QUORUM_MAX}`));
  if (quorum > QUORUM_MAX) throw policyFault(place, `expected a @quorum of at most ${QUORUM_MAX}`);
  if (quorum === 0 && !annotations.has('group')) return { quorum, groups: [] };
  const named = annotations.take('group', /\S/, 'group names, separated by commas');
  const groups = named.split(',').map((group) => group.trim());
  const wrong = groups.find((group) => !GROUP.test(group));
  if (wrong !== undefined) throw policyFault(place, `expected group names in @group, got "${wrong}"`);
  return { quorum, groups: [...new Set(groups)].sort() };
}

/** Takes one after the other, so that what is left over is a misspelt or a misplaced one. */
class Annotations {
  readonly #left: Map<string, string | null>;
  readonly #place: Place;

  constructor(values: Record<string, string | null>, place: Place) {
    this.#left = new Map(Object.entries(values));
    this.#place = place;
  }

  has(name: string): boolean {
    return this.#left.has(name);
  }

  take(name: string, form: RegExp, expected: string): string {
    const value = this.#left.get(name);
    this.#left.delete(name);
    if (value === undefined) throw policyFault(this.#place, `expected @${name}, found none`);
    if (value === null || !form.test(value)) {
      throw policyFault(this.#place, `expected ${expected} in @${name}, got "${value ?? ''}"`);
    }
    return value;
  }

  refuseRest(effect: Rule['effect']): void {
    const [name] = this.#left.keys();
    if (name !== undefined) throw policyFault(this.#place, `a ${effect} has no @${name}`);
  }
}

const ACTION = /^Firebreak::Action::"(.*)"$/;

/** For the sentence of a denial alone. A rule that does not fit the schema is refused by validation, with its place. */
function actionsOf(text: string, schema: PolicyFile): string[] {
  const environments = getValidRequestEnvsPolicy(text, schema.text);
  if (environments.type === 'failure') return [];
  const names = environments.actions.map((action) => ACTION.exec(action)?.[1] ?? action);
  return [...new Set(names)].sort();
}
