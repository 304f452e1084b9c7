import type { ActionDefinition } from '../../action/define.ts';
import type { ActionManifests } from '../../action/manifest.ts';
import { Refusal } from '../../refusal.ts';

/**
 * What this door validates by must be what the root signed: a definition that calls itself reversible while the
 * manifest says irreversible would show people one thing and have the gate check another one.
 */
export function checkActions(
  definitions: ReadonlyMap<string, ActionDefinition>,
  manifests: ActionManifests,
): void {
  const names = new Set([...definitions.keys(), ...manifests.all().map(({ name }) => name)]);
  for (const name of names) checkAction(name, definitions, manifests);
}

function checkAction(
  name: string,
  definitions: ReadonlyMap<string, ActionDefinition>,
  manifests: ActionManifests,
): void {
  const definition = definitions.get(name);
  const manifest = manifests.all().find((manifest) => manifest.name === name);
  const fail = (message: string) => new Refusal('CONFIG_INVALID', `action ${name} ${message}`);
  if (definition === undefined) throw fail('is in the action manifest and has no definition');
  if (manifest === undefined) throw fail('has a definition and is not in the action manifest');
  for (const member of ['schemaVersion', 'effectClass', 'targetKind'] as const) {
    if (definition[member] !== manifest[member]) {
      throw fail(
        `has ${member} ${definition[member]} in its definition, ${manifest[member]} in the action manifest`,
      );
    }
  }
  const back = definition.undo?.action;
  if (back !== undefined && !definitions.has(back)) {
    throw fail(`is undone by ${back}, which has no definition`);
  }
}
