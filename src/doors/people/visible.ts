import type { FactLine } from '../../action/define.ts';
import type { Json } from '../../canonical.ts';

/**
 * Text for people's eyes: what cannot be seen is written out, and two different texts never look the same by it.
 * Trojan Source, zero-width and tag characters, blanks that are no space: an approver would judge something else
 * than what runs.
 */
const HIDDEN = /[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u{2800}]--[ ]]/gv;

/** What would look like our own spelling of a hidden character gets one more backslash. */
const LOOKS_ESCAPED = /\\(?=u\{)/g;

export function visible(text: string): string {
  return text.replace(LOOKS_ESCAPED, '\\\\').replace(HIDDEN, escaped);
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`;
}

/**
 * Every member of an input as one line, `where.all[0].column: "status"`, in canonical order. Values are JSON text, so
 * that `"1"`, `1` and `"null"` differ; nothing is left out and no two inputs give the same lines.
 */
export function inputLines(input: Json): FactLine[] {
  return linesOf('', input);
}

function linesOf(path: string, value: Json): FactLine[] {
  const children = childrenOf(value);
  if (children.length === 0) return [{ label: path === '' ? 'input' : path, value: valueText(value) }];
  return children.flatMap(({ step, child }) => linesOf(join(path, step), child));
}

type Child = { step: string; child: Json };

function childrenOf(value: Json): Child[] {
  if (isList(value)) return value.map((child, at) => ({ step: `[${at}]`, child }));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, child]) => ({ step: stepOf(name), child }));
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** A name of another form stands in quotes and brackets: it cannot pass for a path or for a line of ours. */
function stepOf(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : `[${valueText(name)}]`;
}

function join(path: string, step: string): string {
  return path === '' || step.startsWith('[') ? `${path}${step}` : `${path}.${step}`;
}

/** JSON escapes a backslash already, so that only what is hidden is left to write out. */
function valueText(value: Json): string {
  return JSON.stringify(value).replace(HIDDEN, escaped);
}
