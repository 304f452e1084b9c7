import { setTimeout as delay } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { z } from 'zod';
import type { DatabasePool } from '../../database/pool.ts';
import type { TrustedKeys } from '../../identity/manifest.ts';
import { type LedgerVerdict, verifyLedger } from '../../ledger/verify/verify-database.ts';
import type { Settings } from '../../settings.ts';

/** What the ledger tells of one request, read by the ledger's own login. */
export type Story = {
  votes: { voter: string; decision: string }[];
  capability: { jti: string } | null;
  verdict: LedgerVerdict;
};

type Ledger = { database: DatabasePool; keys: TrustedKeys; settings: Settings };

const entrySchema = z.object({ kind: z.string(), jws: z.string(), leaf_index: z.string().nullable() });
const claimsSchema = z.looseObject({
  voter: z.string().optional(),
  decision: z.string().optional(),
  capability: z.string().optional(),
});

const SEQUENCED_TRIES_MAX = 100;
const SEQUENCED_PAUSE_MS = 50;

export async function readStory(ledger: Ledger, requestId: string): Promise<Story> {
  const entries = await readSequenced(ledger.database, requestId);
  const claims = entries.map(({ kind, jws }) => ({ kind, ...claimsSchema.parse(decodeJwt(jws)) }));
  const votes = claims
    .filter(({ kind }) => kind === 'voted')
    .map(({ voter = '', decision = '' }) => ({ voter, decision }));
  const consumed = claims.find(({ kind }) => kind === 'consumed');
  const { settings, keys } = ledger;
  const verdict = await verifyLedger(ledger.database, {
    keys,
    directory: settings,
    nowS: Math.floor(Date.now() / 1_000),
  });
  return {
    votes,
    capability: consumed?.capability === undefined ? null : { jti: consumed.capability },
    verdict,
  };
}

/** Entries are durable at once and in the tree a moment later: wait for the moment. */
async function readSequenced(database: DatabasePool, requestId: string) {
  for (let tries = 1; ; tries += 1) {
    const entries = await database.rows(
      entrySchema,
      'select kind, jws, leaf_index from firebreak.entry where request_id = $1 order by recorded_at, id',
      [requestId],
    );
    const pending = entries.some(({ leaf_index }) => leaf_index === null);
    if (!pending || tries === SEQUENCED_TRIES_MAX) return entries;
    await delay(SEQUENCED_PAUSE_MS);
  }
}
