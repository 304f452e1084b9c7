import {
  checkParseContext,
  checkParseEntities,
  preparsePolicySet,
  preparseSchema,
  schemaToJson,
  validate,
} from '@cedar-policy/cedar-wasm/nodejs';
import { Refusal } from '../refusal.ts';
import { type Bundle, readBundle } from './bundle.ts';
import { decideBy, type Policy } from './decide.ts';
import { callOf, NAMESPACE } from './evaluate.ts';
import type { PolicyFacts } from './facts.ts';
import { cedarFault, policyFault } from './position.ts';
import { type Rule, readRules } from './rule.ts';

/**
 * One version of policy, ready to decide. Promises that everything in it parses, fits the schema and says what it
 * asks for; refuses with file, position and a sentence what does not.
 */
export async function loadPolicy(directory: string): Promise<Policy> {
  const bundle = await readBundle(directory);
  checkSchema(bundle);
  const rules = readAll(bundle);
  checkRules(bundle, rules);
  prepare(bundle, rules);
  return { digest: bundle.digest, decide: (facts) => decideBy({ digest: bundle.digest, rules }, facts) };
}

/** The schema must take the very facts that code hands over: better refused now than every request denied later. */
function checkSchema({ schema }: Bundle): void {
  const start = { file: schema, offset: 0 };
  const parsed = schemaToJson(schema.text);
  if (parsed.type === 'failure') throw cedarFault(start, parsed.errors);
  if (parsed.warnings.length > 0) throw cedarFault(start, parsed.warnings);
  const actions = Object.keys(parsed.json[NAMESPACE]?.actions ?? {});
  if (actions.length === 0) throw policyFault(start, `expected actions in namespace ${NAMESPACE}`);
  for (const name of actions) {
    const { entities, context, action } = callOf({ ...example, action: { ...example.action, name } });
    for (const answer of [
      checkParseEntities({ entities, schema: schema.text }),
      checkParseContext({ context, action, schema: schema.text }),
    ]) {
      if (answer.type === 'failure') throw cedarFault(start, answer.errors);
    }
  }
}

const example: PolicyFacts = {
  stage: 'submit',
  requestId: 'request',
  agent: {
    id: 'agent',
    agentClass: 'class',
    tenant: 'tenant',
    environment: 'environment',
    purpose: 'purpose',
    risk: 'low',
    owner: 'owner',
    sub: 'agent:agent',
  },
  action: { name: 'action', effectClass: 'read', overshootCount: 0 },
  target: { name: 'target', kind: 'kind', tenant: 'tenant', environment: 'environment', sensitivity: 'low' },
  resource: 'target/thing',
  counts: null,
};

function readAll({ files, schema }: Bundle): ReadonlyMap<string, Rule> {
  const rules = new Map<string, Rule>();
  for (const file of files) {
    for (const rule of readRules(file, schema)) {
      const before = rules.get(rule.id);
      if (before !== undefined) {
        throw policyFault(rule.place, `@id "${rule.id}" is taken by a policy in ${before.place.file.name}`);
      }
      rules.set(rule.id, rule);
    }
  }
  if (rules.size === 0) throw policyFault({ file: schema, offset: 0 }, 'expected policies beside the schema');
  return rules;
}

function checkRules({ schema }: Bundle, rules: ReadonlyMap<string, Rule>): void {
  const answer = validate({
    schema: schema.text,
    policies: { staticPolicies: textsOf(rules) },
    validationSettings: { mode: 'strict' },
  });
  const start = { file: schema, offset: 0 };
  if (answer.type === 'failure') throw cedarFault(start, answer.errors);
  // A warning is a rule that never applies or does not read as it is: nobody meant that.
  const [fault] = [...answer.validationErrors, ...answer.validationWarnings];
  if (fault !== undefined) throw cedarFault(rules.get(fault.policyId)?.place ?? start, [fault.error]);
  if (answer.otherWarnings.length > 0) throw cedarFault(start, answer.otherWarnings);
}

/** Parsed once under the digest: loading the same bundle again replaces equals by equals. */
function prepare({ digest, schema }: Bundle, rules: ReadonlyMap<string, Rule>): void {
  for (const answer of [
    preparseSchema(digest, schema.text),
    preparsePolicySet(digest, { staticPolicies: textsOf(rules) }),
  ]) {
    if (answer.type === 'failure') {
      throw new Refusal('CONFIG_INVALID', answer.errors.map(({ message }) => message).join('; '));
    }
  }
}

function textsOf(rules: ReadonlyMap<string, Rule>): Record<string, string> {
  return Object.fromEntries([...rules].map(([id, { text }]) => [id, text]));
}
