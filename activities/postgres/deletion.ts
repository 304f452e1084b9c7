import type { FactLine, PlanBody, PostgresReader } from '../../src/action/define.ts';
import { Refusal } from '../../src/refusal.ts';
import { followCascades, type Going } from './cascades.ts';
import type { PlannedRow } from './fingerprint.ts';
import type { TableFacts } from './introspect.ts';
import { TRIGGERS_MAX } from './limits.ts';
import { type TableName, tableText, visibleText } from './names.ts';
import { keysText, rowsText } from './planned-rows.ts';
import type { Trigger } from './references.ts';

/** What any action that deletes rows plans: the rows, those that go with them, the triggers that fire. */
export type Deletion = Pick<PlanBody, 'counts' | 'overshoot' | 'effects'> & {
  /** Of the named table, also those of it that go by a foreign key onto itself. */
  rows: readonly PlannedRow[];
  /** Card lines, one a table: what else goes, and by which foreign key. */
  also: FactLine[];
  /** What putting all of it back would fire, as names. */
  insertTriggers: string[];
};

/** PLAN_TOO_LARGE where more rows of the named table would go than `limit`. */
export async function planDeletion(
  reader: PostgresReader,
  asked: { table: TableName; facts: TableFacts; rows: readonly PlannedRow[]; limit: number },
): Promise<Deletion> {
  const { named, cascades } = await followCascades(reader, asked);
  const { rows } = named;
  if (rows.length > asked.limit) {
    throw new Refusal(
      'PLAN_TOO_LARGE',
      `expected at most ${asked.limit} rows of ${tableText(named.table)}, but ${rows.length} would go`,
    );
  }
  const going = [named, ...cascades];
  const fired = firedBy(going, ({ deleteTriggers }) => deleteTriggers);
  return {
    rows,
    also: [...selfLines(named, asked.rows.length), ...cascades.map(cascadeLine)],
    counts: countsOf(going),
    overshoot: fired.overshoot,
    insertTriggers: firedBy(going, ({ insertTriggers }) => insertTriggers).names,
    effects: {
      kind: 'postgres.rows',
      operation: 'delete',
      ...named.table,
      rows: [...rows],
      cascades: cascades.map((table) => ({ ...table.table, rows: [...table.rows] })),
      triggers: fired.ids,
    },
  };
}

/** `cascadedRows` is there where rows of other tables go along: what policy is told of them. */
export function countsOf([named, ...cascades]: readonly Pick<Going, 'rows'>[]): PlanBody['counts'] {
  const rows = named?.rows.length ?? 0;
  const cascadedRows = cascades.reduce((sum, table) => sum + table.rows.length, 0);
  return cascades.length === 0 ? { rows } : { rows, cascadedRows };
}

export type Fired = { ids: string[]; names: string[]; overshoot: string[] };

/**
 * Triggers that fire, and what that means: whatever they do is in no plan, so that one more person has to say yes.
 */
export function firedBy(
  tables: readonly Pick<Going, 'table' | 'facts' | 'rows'>[],
  of: (facts: TableFacts) => readonly Trigger[],
): Fired {
  const triggers = new Map(tables.flatMap(({ facts }) => of(facts).map((trigger) => [trigger.id, trigger])));
  if (triggers.size > TRIGGERS_MAX) {
    throw new Refusal(
      'PLAN_TOO_LARGE',
      `expected at most ${TRIGGERS_MAX} triggers, but ${triggers.size} fire`,
    );
  }
  const rowsOf = new Map(tables.map(({ table, rows }) => [tableText(table), rows.length]));
  return {
    ids: [...triggers.keys()],
    names: [...triggers.values()].map(nameOf),
    overshoot: [...triggers.values()].map(
      (trigger) =>
        `do what trigger ${nameOf(trigger)} does, which fires ${timesOf(trigger, rowsOf.get(tableText(trigger)) ?? 0)}: that is not in this plan`,
    ),
  };
}

function nameOf({ name, ...table }: Trigger): string {
  return `${visibleText(name)} of ${tableText(table)}`;
}

/** A foreign key's own statements fire triggers of a statement too, so of those there is only a least number. */
function timesOf({ perRow, conditional }: Trigger, rows: number): string {
  if (!perRow) return 'at least once';
  const times = rows === 1 ? 'for 1 row' : `for each of ${rows} rows`;
  return conditional ? `${times} where its condition holds` : times;
}

function selfLines({ rows, by }: Going, asked: number): FactLine[] {
  const more = rows.slice(asked);
  if (more.length === 0) return [];
  return [{ label: 'Among them', value: `${rowsText(more.length)} ${byText(by)}: ${keysText(more)}` }];
}

function cascadeLine({ table, rows, by }: Going): FactLine {
  const value = `${rowsText(rows.length)} of ${tableText(table)}, ${byText(by)}: ${keysText(rows)}`;
  return { label: 'Also deletes', value };
}

function byText(by: readonly string[]): string {
  return `by foreign key ${by.map(visibleText).join(' and ')}`;
}
