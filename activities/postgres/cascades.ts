import { z } from 'zod';
import type { PostgresReader } from '../../src/action/define.ts';
import { Refusal } from '../../src/refusal.ts';
import type { PlannedRow } from './fingerprint.ts';
import { introspect, refuseHazards, type TableFacts } from './introspect.ts';
import { CASCADE_STEPS_MAX, CASCADE_TABLES_MAX, ROWS_MAX } from './limits.ts';
import {
  quoteIdentifier,
  quoteLiteral,
  quoteTable,
  type TableName,
  tableText,
  visibleText,
} from './names.ts';
import { matchingRows, rowsText } from './planned-rows.ts';
import type { Reference } from './references.ts';
import type { WhereSql } from './where.ts';

/**
 * Which rows of which tables go when some rows go. It promises to name every one of them; it refuses what would change
 * rows instead of deleting them, what other rows still refer to, and more than one statement may hold.
 */
export type Going = {
  table: TableName;
  facts: TableFacts;
  /** In the order in which they were found, which is the same for equal state. */
  rows: readonly PlannedRow[];
  /** The foreign keys by which they go. */
  by: readonly string[];
};

type Named = Omit<Going, 'by'>;

/** @returns the named table with all of its rows that go, and the others, each after one that it refers to. */
export async function followCascades(
  reader: PostgresReader,
  named: Named,
): Promise<{ named: Going; cascades: Going[] }> {
  const search = new Search(reader, named);
  for (let steps = 0; await search.step(); steps += 1) {
    if (steps === CASCADE_STEPS_MAX) {
      throw new Refusal('PLAN_TOO_LARGE', `expected at most ${CASCADE_STEPS_MAX} steps along foreign keys`);
    }
  }
  await search.refuseLeftBehind();
  return search.found();
}

type Visited = {
  table: TableName;
  facts: TableFacts;
  rows: Map<string, PlannedRow>;
  by: Set<string>;
};

/** Rows that nobody has looked behind yet. */
type Front = { from: Visited; rows: readonly PlannedRow[] };

class Search {
  readonly #reader: PostgresReader;
  readonly #named: Visited;
  readonly #tables = new Map<string, Visited>();
  #front: Front[];

  constructor(reader: PostgresReader, named: Named) {
    this.#reader = reader;
    this.#named = this.#visit(named.table, named.facts);
    this.#front = [{ from: this.#named, rows: add(this.#named, named.rows) }];
  }

  /** One step along every foreign key that deletes. @returns whether it found rows. */
  async step(): Promise<boolean> {
    const front: Front[] = [];
    for (const { from, rows } of this.#front) {
      for (const reference of from.facts.references.filter(({ onDelete }) => onDelete === 'cascade')) {
        const to = await this.#tableOf(reference);
        const where = refersTo(from, rows, reference);
        const matches = await matchingRows(this.#reader, { ...to, where, limit: ROWS_MAX });
        if (matches.length === 0) continue;
        refuseHazards(to.table, to.facts);
        to.by.add(reference.name);
        front.push({ from: to, rows: add(to, matches) });
        this.#refuseTooMuch();
      }
    }
    this.#front = front.filter(({ rows }) => rows.length > 0);
    return this.#front.length > 0;
  }

  /** Rows that stay and refer to one that goes: they would be changed, which no undo takes back, or keep it. */
  async refuseLeftBehind(): Promise<void> {
    for (const going of this.#going()) {
      for (const reference of going.facts.references) {
        const { onDelete, readable } = reference;
        // What only stands in the way, the database refuses by itself: this is for people, who are asked for nothing.
        const isJudged = onDelete !== 'cascade' && (readable || onDelete.startsWith('set'));
        const left = isJudged ? await this.#leftBehind(going, reference) : 0;
        if (left > 0) throw refusalOf(reference, left);
      }
    }
  }

  found(): { named: Going; cascades: Going[] } {
    const [named, ...cascades] = this.#going().map(({ table, facts, rows, by }) => ({
      table,
      facts,
      rows: [...rows.values()],
      by: [...by],
    }));
    if (named === undefined) throw new TypeError('expected the named table');
    return { named, cascades };
  }

  #visit(table: TableName, facts: TableFacts): Visited {
    const visited = { table, facts, rows: new Map(), by: new Set<string>() };
    this.#tables.set(tableText(table), visited);
    return visited;
  }

  async #tableOf({ schema, table }: Reference): Promise<Visited> {
    const name = { schema, table };
    return this.#tables.get(tableText(name)) ?? this.#visit(name, await introspect(this.#reader, name));
  }

  #going(): Visited[] {
    return [...this.#tables.values()].filter((table) => table === this.#named || table.rows.size > 0);
  }

  #refuseTooMuch(): void {
    const going = this.#going();
    if (going.length - 1 > CASCADE_TABLES_MAX) {
      throw new Refusal(
        'PLAN_TOO_LARGE',
        `expected at most ${CASCADE_TABLES_MAX} tables besides the named one`,
      );
    }
    if (going.reduce((sum, { rows }) => sum + rows.size, 0) > ROWS_MAX) {
      throw new Refusal('PLAN_TOO_LARGE', `expected at most ${ROWS_MAX} rows of all tables together`);
    }
  }

  async #leftBehind(going: Visited, reference: Reference): Promise<number> {
    const planned = this.#tables.get(tableText(reference));
    const refers = refersTo(going, [...going.rows.values()], reference);
    const isPlanned =
      planned === undefined || planned.rows.size === 0
        ? 'false'
        : `exists (select from jsonb_array_elements($2::jsonb) as p (key) where ${keyMatch('t', planned.facts)})`;
    const [found] = await this.#reader.query(
      `select count(*)::int4 as "left" from (
         select from only ${quoteTable(reference)} as t where ${refers.text} and not ${isPlanned}
         limit ${ROWS_MAX}) as found`,
      isPlanned === 'false' ? refers.values : [...refers.values, keysOf([...(planned?.rows.values() ?? [])])],
    );
    return leftSchema.parse(found).left;
  }
}

const leftSchema = z.strictObject({ left: z.int() });

/** @returns those that were not there before. */
function add({ rows }: Visited, found: readonly PlannedRow[]): PlannedRow[] {
  const fresh = found.filter(({ key }) => !rows.has(JSON.stringify(key)));
  for (const row of fresh) rows.set(JSON.stringify(row.key), row);
  return fresh;
}

/** That the row `t` refers to one of the rows. */
function refersTo(
  { table, facts }: Pick<Visited, 'table' | 'facts'>,
  rows: readonly PlannedRow[],
  { condition }: Reference,
): WhereSql {
  return {
    text: `exists (select from jsonb_array_elements($1::jsonb) as p (key)
      join only ${quoteTable(table)} as r on ${keyMatch('r', facts)} where ${condition})`,
    values: [keysOf(rows)],
  };
}

function keyMatch(row: string, { key }: TableFacts): string {
  return key
    .map(({ name, type }) => `${row}.${quoteIdentifier(name)} = (p.key ->> ${quoteLiteral(name)})::${type}`)
    .join(' and ');
}

function keysOf(rows: readonly PlannedRow[]): string {
  return JSON.stringify(rows.map(({ key }) => key));
}

function refusalOf({ name, onDelete, ...table }: Reference, left: number): Refusal {
  const rows = `${left === ROWS_MAX ? `${ROWS_MAX} rows or more` : rowsText(left)} of ${tableText(table)}`;
  const key = `foreign key ${visibleText(name)}`;
  const sentence = onDelete.startsWith('set')
    ? `${key} would change ${rows} (on delete ${onDelete}), which an undo could not take back`
    : `${rows} still refer to it by ${key} (on delete ${onDelete})`;
  return new Refusal('PLAN_UNSUPPORTED', sentence);
}
