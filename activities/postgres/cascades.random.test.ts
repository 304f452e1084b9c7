import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PlanBody, planBodySchema } from '../../src/action/define.ts';
import { definition as restoration } from '../actions/postgres.rows.restore/definition.ts';
import { performOnTarget } from './perform.ts';
import { openTestTarget, type TestTarget } from './test-target.ts';

let target: TestTarget;
beforeAll(async () => {
  target = await openTestTarget('');
});
afterAll(() => target.stop());

/** Which columns refer where, and which rows there are, all of it small: five tables of four rows each. */
const TABLES = 5;
const ROWS = 4;
const referenceArbitrary = fc.record({
  from: fc.nat(TABLES - 1),
  to: fc.nat(TABLES - 1),
  onDelete: fc.constantFrom('cascade', 'cascade', 'cascade', 'set null', 'no action'),
  /** The row that each row refers to; 0 is none. */
  values: fc.array(fc.nat(ROWS), { minLength: ROWS, maxLength: ROWS }),
});

const graph = Array.from({ length: TABLES }, (_, n) => `g${n}`);
const columns = Array.from({ length: 8 }, (_, n) => `c${n} int`).join(', ');

type References = { from: number; to: number; onDelete: string; values: number[] }[];

async function make(references: References): Promise<void> {
  await target.admin.query(`drop table if exists ${graph.join(', ')} cascade`);
  for (const name of graph) {
    await target.admin.query(`create table ${name} (id int primary key, ${columns});
      insert into ${name} select n from generate_series(1, ${ROWS}) n;
      grant select, delete, insert, update (id) on ${name} to firebreak_target_hands;
      grant select on ${name} to shop_planner`);
  }
  for (const [n, { from, to, onDelete, values }] of references.entries()) {
    await target.admin.query(`update g${from} set c${n} = nullif((array[${values.join(', ')}])[id], 0);
      alter table g${from} add constraint f${n} foreign key (c${n}) references g${to} on delete ${onDelete}`);
  }
}

async function contents(): Promise<string[]> {
  const found = await target.admin.query<{ text: string }>(
    `${graph.map((name) => `select '${name} ' || t::text as text from ${name} t`).join(' union all ')} order by 1`,
  );
  return found.rows.map(({ text }) => text);
}

/** What a plain DELETE takes away or changes, seen and rolled back; null where PostgreSQL refuses it. */
async function takenBy(ids: readonly number[]): Promise<string[] | null> {
  const before = await contents();
  try {
    await target.admin.query(`begin; delete from g0 where id in (${ids.join(', ')})`);
    const after = new Set(await contents());
    return before.filter((text) => !after.has(text));
  } catch {
    return null;
  } finally {
    await target.admin.query('rollback');
  }
}

const perform = async (plan: PlanBody, effectKey: string) =>
  await performOnTarget(target.borrow(plan, { effectKey }), target.executorUrl);

test('whatever refers to whatever: what is planned is what PostgreSQL deletes, or it is refused', async () => {
  let [made, refused] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      fc.array(referenceArbitrary, { maxLength: 8 }),
      fc.uniqueArray(fc.integer({ min: 1, max: ROWS }), { minLength: 1, maxLength: 2 }),
      async (references, ids) => {
        await make(references);
        const before = await contents();
        const taken = await takenBy(ids);
        const where = { column: 'id', op: 'in', value: ids };
        const asked = { database: 'shop', table: 'g0', where, limit: ROWS };
        const plan = await target.plan(asked).catch((error: unknown) => error);
        if (plan instanceof Error) {
          refused += 1;
          // Refused is what PostgreSQL refuses too, and what would change rows that stay.
          return taken === null || plan.message.includes('set null');
        }
        made += 1;
        const effectKey = `req_${String(made).padStart(22, '0')}`;
        await perform(planBodySchema.parse(plan), effectKey);
        const after = new Set(await contents());
        expect(before.filter((text) => !after.has(text))).toEqual(taken);
        await perform(
          await target.plan({ database: 'shop', requestId: effectKey }, restoration),
          `undo ${made}`,
        );
        expect(await contents()).toEqual(before);
        return true;
      },
    ),
    { numRuns: 40 },
  );
  expect([made > 10, refused > 5]).toEqual([true, true]);
}, 60_000);
