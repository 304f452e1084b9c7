import { z } from 'zod';
import type { Claims } from '../../identity/claims.ts';
import { verify } from '../../identity/verify.ts';
import { nowS, type PeopleDoor, type RequestReference } from './door.ts';

const voteSchema = z.object({ statement: z.string() });

/** The votes on one digest, each verified again: what stands in a row is shown only as what was signed. */
export async function readVotes(
  door: Pick<PeopleDoor, 'database' | 'keys' | 'clock'>,
  on: RequestReference & { digest: string },
): Promise<Claims<'vote'>[]> {
  const rows = await door.database.rows(
    voteSchema,
    'select statement from firebreak.vote where request_id = $1 and revision = $2 and digest = $3 order by id',
    [on.requestId, on.revision, on.digest],
  );
  return await Promise.all(
    rows.map(async ({ statement }) => await verify('vote', statement, { keys: door.keys, nowS: nowS(door) })),
  );
}
