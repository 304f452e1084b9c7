import { z } from 'zod';
import type { Database } from '../../database/pool.ts';

/** The rows behind the cards: what each message shows, and what it should show by now. */
const noticeSchema = z.object({
  id: z.string(),
  channel: z.string(),
  message: z.string().nullable(),
  shown: z.string().nullable(),
  /** Tries since the last that is known to have ended. */
  attempts: z.int(),
  /** Names everything that a card's look depends on; what was asked itself never changes. */
  wanted: z.string(),
  newest: z.boolean(),
  ask_id: z.string(),
  request_id: z.string(),
  revision: z.int(),
  digest: z.string(),
  plan_hash: z.string(),
  policy_digest: z.string(),
  quorum: z.int(),
  groups: z.array(z.string()),
  card_hash: z.string(),
  asked_at: z.date(),
  expires_at: z.date(),
});
export type Notice = z.infer<typeof noticeSchema>;

/** Nothing changes any more; the look passes these by. */
export const FINAL = ' final';

/** Notices that do not show what they should, oldest first. */
export async function readDueNotices(
  database: Database,
  due: { now: Date; most: number; withoutChannels: readonly string[] },
): Promise<Notice[]> {
  return await database.rows(
    noticeSchema,
    `select n.id, n.channel, n.message, n.shown, n.attempts, w.wanted, f.newest,
       a.id as ask_id, a.request_id, a.revision, a.digest, a.plan_hash, a.policy_digest, a.quorum, a.groups,
       a.card_hash, a.asked_at, a.expires_at
     from firebreak.notice n
     join firebreak.ask a on a.id = n.ask_id
     join firebreak.request r on r.id = a.request_id
     cross join lateral (select
       a.id = (select max(b.id) from firebreak.ask b where b.request_id = a.request_id) as newest,
       (select count(*) from firebreak.vote v where v.request_id = a.request_id and v.revision = a.revision
          and v.digest = a.digest) as votes,
       r.state in ('accepted', 'waiting', 'performing') as open) f
     cross join lateral (select concat_ws(' ',
       case when f.open then 'open' else r.state || '@' || extract(epoch from r.state_at) end,
       f.votes, 'votes', case when f.newest then 'newest' else 'replaced' end,
       case when f.open and a.expires_at <= $1 then 'expired' end) as wanted) w
     where n.surface = 'slack' and n.next_at <= clock_timestamp() and n.channel <> all($3)
       and (n.shown is null or n.shown not like '%${FINAL}')
       and n.shown is distinct from w.wanted
     order by n.id limit $2`,
    [due.now, due.most, due.withoutChannels],
  );
}

/** Due at once, by whatever clock the database has. */
export const AT_ONCE = new Date(0);

type Progress = { message?: string; shown: string; nextAt?: Date };

export async function recordProgress(database: Database, id: string, progress: Progress): Promise<void> {
  await database.run('select firebreak.update_notice($1, $2, $3, $4)', [
    id,
    progress.message ?? null,
    progress.shown,
    progress.nextAt ?? AT_ONCE,
  ]);
}

/**
 * Counts a try, before a message is posted: who finds this after a crash looks for the message before posting
 * another one.
 */
export async function recordTry(database: Database, id: string, nextAt: Date): Promise<void> {
  await database.run('select firebreak.update_notice($1, null, null, $2)', [id, nextAt]);
}

const shownSchema = z.object({ shown: z.string().nullable() });

/** The try certainly left nothing behind: the next one need not look for it. */
export async function recordNothingDone(database: Database, id: string, nextAt: Date): Promise<void> {
  const [row] = await database.rows(shownSchema, 'select shown from firebreak.notice where id = $1', [id]);
  await recordProgress(database, id, { shown: row?.shown ?? 'nothing yet', nextAt });
}
