import type { EffectClass, FactLine, PlanBody } from '../../action/define.ts';
import type { ActionManifest } from '../../action/manifest.ts';
import { overshootOf } from '../../action/overshoot.ts';
import type { RequestContent } from '../../action/request.ts';
import { canonicalDigest } from '../../canonical.ts';
import { inputLines, visible } from './visible.ts';

/**
 * What a person is asked to judge, for any surface. Rendered from the canonical request, the signed action manifest
 * and the plan, and from nothing that the agent says about them; no action's code has a say. Every string in it is
 * visible text already. It promises that all of it is there: a surface that cannot show all of it offers no approval.
 */
export type Card = {
  requestId: string;
  action: string;
  environment: string;
  /** One sign for the place, one for what can be taken back. */
  signs: { environment: string; effectClass: string };
  /** What an approval makes happen, e.g. `delete 120 rows of shop/public.orders`. */
  consequence: string;
  sections: CardSection[];
  digest: string;
  /** Over everything above: two cards with one hash ask the same. */
  cardHash: string;
  /** Facts about the asking: they change without changing what is asked. */
  terms: CardSection;
  marks: string[];
  /** The agent's own words, apart from all else. */
  justification: string | null;
};

export type CardSection = { title: string; lines: FactLine[] };

export type CardFacts = {
  content: RequestContent;
  agent: string;
  /** The person who answers for the agent. */
  owner: string;
  manifest: ActionManifest;
  plan: PlanBody;
  digest: string;
  quorum: number;
  /** The groups that are asked, with the names of their members. */
  groups: readonly { id: string; members: readonly string[] }[];
  expiresAt: Date;
  mode: 'development' | 'production';
  justification: string | null;
};

/** More names than this are counted instead; they are ours and not the requester's. */
const NAMES_MAX = 12;

export function renderCard(facts: CardFacts): Card {
  const { content, manifest, digest } = facts;
  const asked = {
    requestId: visible(content.requestId),
    action: visible(manifest.name),
    environment: visible(content.environment),
    signs: {
      environment: environmentSign(content.environment),
      effectClass: effectSigns[manifest.effectClass],
    },
    consequence: visible(consequenceOf(facts)),
    sections: [whoSection(facts), whatSection(facts), planSection(facts)],
    digest,
  };
  return {
    ...asked,
    cardHash: canonicalDigest(asked),
    terms: termsSection(facts),
    marks: marksOf(facts),
    justification: facts.justification === null ? null : visible(facts.justification),
  };
}

/** The sentence on the button: verb and noun of the action's name, the plan's own numbers, the resource. */
function consequenceOf({ content, manifest, plan }: CardFacts): string {
  const [, , verb] = manifest.name.split('.');
  const [first, ...others] = countsOf(plan).map(([noun, count]) => countText(count, noun));
  const what = `${first === undefined ? '' : `${first} of `}${content.resource}`;
  return [`${verb ?? manifest.title} ${what}`, ...others].join(', with ');
}

/** The plainest noun first: a plan's stored text has them by the alphabet, `cascadedRows` before `rows`. */
function countsOf({ counts }: PlanBody): [noun: string, count: number][] {
  return Object.entries(counts).sort(([left], [right]) => left.length - right.length);
}

/** Nouns of counts stand in the plural: `rows`, and `1 row`. */
export function countText(count: number, noun: string): string {
  const words = nounText(noun);
  return `${count} ${count === 1 ? words.replace(/s$/, '') : words}`;
}

/** `cascadedRows` as words. */
function nounText(noun: string): string {
  return noun.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function whoSection({ content, agent, owner }: CardFacts): CardSection {
  return section('Who asks', [
    ['Agent', agent],
    ['Owner', owner],
    ['For', content.sub],
    ...(content.act === null ? [] : [['Acting', content.act.sub] as const]),
    ['Session', content.session],
    ['Tenant', content.tenant],
    ['Environment', content.environment],
  ]);
}

function whatSection({ content, manifest }: CardFacts): CardSection {
  const { title, lines } = section('What exactly', [
    ['Action', `${manifest.name} (${manifest.title}), version ${content.schemaVersion}`],
    ['Class', manifest.effectClass],
    ['Resource', content.resource],
  ]);
  return { title, lines: [...lines, ...inputLines(content.input)] };
}

function planSection({ plan, manifest }: CardFacts): CardSection {
  const counts = countsOf(plan).map(([noun, count]) => [`Count of ${nounText(noun)}`, `${count}`] as const);
  const overshoot = overshootOf(manifest, plan).map((sentence) => ['Could also', sentence] as const);
  return section('What would change', [
    ...plan.summary.map(({ label, value }) => [label, value] as const),
    ...counts,
    ['Way back', plan.undo === 'kept' ? 'kept by the target' : 'none'],
    ...(overshoot.length === 0 ? [['Could also', 'nothing beyond this'] as const] : overshoot),
  ]);
}

function termsSection({ groups, quorum, expiresAt }: CardFacts): CardSection {
  const asked = groups.map(
    ({ id, members }) => ['Why you', `you are in ${id}: ${namesText(members)}`] as const,
  );
  return section('Approval', [
    ...asked,
    ['Needed', quorum === 1 ? '1 person' : `${quorum} persons`],
    ['Expires', `${expiresAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`],
  ]);
}

export function namesText(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_MAX);
  const more = names.length - shown.length;
  return more === 0 ? shown.join(', ') : `${shown.join(', ')} and ${more} more`;
}

function marksOf({ mode }: CardFacts): string[] {
  return mode === 'development'
    ? ['Development mode: all domains run as one user, so an approval here protects nothing.']
    : [];
}

function section(title: string, lines: readonly (readonly [label: string, value: string])[]): CardSection {
  return { title, lines: lines.map(([label, value]) => ({ label: visible(label), value: visible(value) })) };
}

const effectSigns: Record<EffectClass, string> = {
  read: '👁',
  reversible: '↩',
  irreversible: '⛔',
  export: '📤',
  privilege: '🔑',
  'cross-tenant': '🚧',
};

const environmentSigns: ReadonlyMap<string, string> = new Map([
  ['development', '🟢'],
  ['dev', '🟢'],
  ['test', '🟢'],
  ['sandbox', '🟢'],
  ['staging', '🟠'],
  ['preproduction', '🟠'],
]);

/** A place that nobody told us about is taken for production. */
function environmentSign(environment: string): string {
  return environmentSigns.get(environment) ?? '🔴';
}
