import { expect, test } from 'vitest';
import { thingsDelete } from '../../../test/fixtures/test-actions.ts';
import type { ActionDefinition } from '../../action/define.ts';
import type { ActionManifest } from '../../action/manifest.ts';
import { checkActions } from './check-actions.ts';

const { name, schemaVersion, title, effectClass, targetKind, longestRunMs } = thingsDelete;
const signed: ActionManifest = {
  iss: 'root',
  iat: 0,
  jti: 'x',
  name,
  schemaVersion,
  title,
  effectClass,
  targetKind,
  overshoot: [],
  longestRunMs,
};

function check(definition: Partial<ActionDefinition> | null, manifest: Partial<ActionManifest> | null): void {
  const { undo: _undo, ...alone } = thingsDelete;
  const definitions = definition === null ? [] : [{ ...alone, ...definition }];
  const manifests = manifest === null ? [] : [{ ...signed, ...manifest }];
  checkActions(new Map(definitions.map((one) => [one.name, one])), {
    all: () => manifests,
    find: () => signed,
  });
}

test('a definition that agrees with its signed manifest starts; any difference that matters does not', () => {
  expect(() => check({}, { title: 'Another title' })).not.toThrow();
  expect(() => check({}, { effectClass: 'irreversible' })).toThrow(/effectClass reversible .* irreversible/);
  expect(() => check({}, { schemaVersion: 2 })).toThrow(/schemaVersion/);
  expect(() => check({ name: 'test.other' }, {})).toThrow(/not in the action manifest|no definition/);
  expect(() => check({}, null)).toThrow(/not in the action manifest/);
  expect(() => check(null, {})).toThrow(/no definition/);
});

test('an undo by an action that is not installed does not start', () => {
  const input = () => null;
  expect(() => check({ undo: { action: name, input } }, {})).not.toThrow();
  expect(() => check({ undo: { action: 'test.things.restore', input } }, {})).toThrow(/has no definition/);
});
