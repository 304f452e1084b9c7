import { readdir } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Refusal } from '../refusal.ts';
import type { Settings } from '../settings.ts';
import type { ActionDefinition, ActionEffect } from './define.ts';

/**
 * Actions load from configured folders (one folder an action, `definition.ts` and `effect.ts` or `.js`) or npm
 * packages (`PACKAGE/definition`, `PACKAGE/effect`), ours by the same way as everybody's.
 */
type Sources = Settings['actions'];

/** Definitions, for gateway and planner. */
export async function loadDefinitions(
  sources: Sources,
  base: string,
): Promise<Map<string, ActionDefinition>> {
  const found = new Map<string, ActionDefinition>();
  for (const specifier of await specifiersOf('definition', sources, base)) {
    const { definition } = await importAction(specifier);
    if (!isDefinition(definition)) {
      throw new Refusal('CONFIG_INVALID', `${specifier} exports no action as definition`);
    }
    if (found.has(definition.name)) {
      throw new Refusal(
        'CONFIG_INVALID',
        `action ${definition.name} is defined twice, again in ${specifier}`,
      );
    }
    found.set(definition.name, definition);
  }
  return found;
}

/** Effects, for executors alone. */
export async function loadEffects(sources: Sources, base: string): Promise<Map<string, ActionEffect>> {
  const found = new Map<string, ActionEffect>();
  for (const specifier of await specifiersOf('effect', sources, base)) {
    const { effect } = await importAction(specifier);
    if (!isEffect(effect)) throw new Refusal('CONFIG_INVALID', `${specifier} exports no effect as effect`);
    found.set(effect.action, effect);
  }
  return found;
}

async function specifiersOf(part: string, sources: Sources, base: string): Promise<string[]> {
  const specifiers = sources.packages.map((name) => `${name}/${part}`);
  for (const directory of sources.directories) {
    const root = isAbsolute(directory) ? directory : resolve(base, directory);
    for (const folder of (await readdir(root, { withFileTypes: true })).filter((item) =>
      item.isDirectory(),
    )) {
      specifiers.push(await fileOf(part, join(root, folder.name)));
    }
  }
  return specifiers;
}

async function fileOf(part: string, folder: string): Promise<string> {
  const file = (await readdir(folder)).find((name) => name === `${part}.ts` || name === `${part}.js`);
  if (file === undefined)
    throw new Refusal('CONFIG_INVALID', `expected ${part}.ts or ${part}.js in ${folder}`);
  return pathToFileURL(join(folder, file)).href;
}

async function importAction(specifier: string): Promise<Record<string, unknown>> {
  try {
    const module: Record<string, unknown> = await import(specifier);
    return module;
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `action ${specifier} does not load`, { cause });
  }
}

function isDefinition(value: unknown): value is ActionDefinition {
  return isNamed(value, 'name') && 'plan' in value && 'input' in value;
}

function isEffect(value: unknown): value is ActionEffect {
  return isNamed(value, 'action') && 'perform' in value;
}

function isNamed(value: unknown, member: string): value is object {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, member) === 'string';
}
