import { Client } from 'pg';
import { z } from 'zod';

/** The demo's own look at the target, by the target's administrator: what is there, and what its own record says. */
export type TargetWitness = {
  /** Rows of a table. */
  count(table: string): Promise<number>;
  /** How many effects the target's own record holds under a request, and whether rows are kept for undo. */
  effects(requestId: string): Promise<{ count: number; keptRows: number }>;
  close(): Promise<void>;
};

const countSchema = z.tuple([z.object({ count: z.coerce.number() })]);
const effectsSchema = z.tuple([z.object({ count: z.coerce.number(), kept: z.coerce.number() })]);

export async function openTargetWitness(adminUrl: string): Promise<TargetWitness> {
  const client = new Client({ connectionString: adminUrl, application_name: 'firebreak-demo' });
  client.on('error', () => undefined);
  await client.connect();
  return {
    async count(table) {
      const name = table
        .split('.')
        .map((part) => client.escapeIdentifier(part))
        .join('.');
      const { rows } = await client.query(`select count(*) from ${name}`);
      return countSchema.parse(rows)[0].count;
    },
    async effects(requestId) {
      const { rows } = await client.query(
        `select count(*), (select coalesce(sum(cardinality(k.rows)), 0) from firebreak.kept k
           where k.effect_key = $1) as kept from firebreak.effects where effect_key = $1`,
        [requestId],
      );
      const [found] = effectsSchema.parse(rows);
      return { count: found.count, keptRows: found.kept };
    },
    close: async () => await client.end(),
  };
}
