import { digestOf } from '../src/action/request.ts';
import type { CallBody, CallReply } from '../src/call/table.ts';
import type { Database } from '../src/database/pool.ts';
import { requestFacts } from '../src/database/request-facts.ts';
import { findRequest, type RequestRow } from '../src/database/requests.ts';
import type { TrustedKeys } from '../src/identity/manifest.ts';
import type { EntryWriter } from '../src/ledger/entry.ts';
import { codeOf, mayTryAgain } from '../src/refusal.ts';
import { currentEnvelope } from '../src/temporal/context.ts';
import { requireContext } from './context.ts';
import { asFailure } from './failure.ts';
import { type Planned, type Planner, planNow } from './planner.ts';
import type { RequestReference } from './steps.ts';

/**
 * The first plan of a request, stored and recorded; a second run stores another statement of the same kind, and the
 * newest counts. `executor` names the tool family and environment that would perform it.
 */
export type PlannerActivities = {
  plan(reference: RequestReference): Promise<{ code: string | null; executor: string }>;
};

type Collaborators = Planner & {
  database: Database;
  keys: TrustedKeys;
  contextKey: Uint8Array;
  writeEntry: EntryWriter;
};

export function createPlannerActivities(own: Collaborators): PlannerActivities {
  return {
    async plan({ requestId }) {
      try {
        const row = await findRequest(own.database, requestId);
        const nowS = Math.floor(own.clock() / 1_000);
        try {
          await requireContext(currentEnvelope(), row, { ...own, nowS });
          const planned = await planNow(own, row);
          await store(own, row, planned);
          return { code: null, executor: executorOf(planned.target) };
        } catch (error) {
          const code = codeOf(error);
          if (mayTryAgain(code)) throw error;
          await recordRefusal(own, row, code);
          return { code, executor: '' };
        }
      } catch (error) {
        throw asFailure(error);
      }
    },
  };
}

/** `POST /plan`: the second statement, for an executor that is about to act. Nothing is stored. */
export function createPlanCall(
  own: Planner & { database: Database },
): (body: CallBody<'planner', 'plan'>) => Promise<CallReply<'planner', 'plan'>> {
  return async ({ requestId }) => {
    const { statement, plan } = await planNow(own, await findRequest(own.database, requestId));
    return { statement, body: plan };
  };
}

/** Tool family and environment: one queue and one identity each. */
export function executorOf({ kind, environment }: { kind: string; environment: string }): string {
  return `${kind}-${environment}`;
}

async function store(own: Collaborators, row: RequestRow, planned: Planned): Promise<void> {
  const { claims, body, statement, content } = planned;
  const entry = await own.writeEntry({
    kind: 'planned',
    ...requestFacts(row),
    planHash: claims.planHash,
    digest: digestOf(content, claims.planHash),
    counts: claims.counts,
    overshoot: planned.plan.overshoot.length,
  });
  const values = [row.id, row.revision, claims.planHash, body, statement, entry];
  await own.database.run('select firebreak.record_plan($1, $2, $3, $4, $5, $6)', values);
}

async function recordRefusal(own: Collaborators, row: RequestRow, code: string): Promise<void> {
  const entry = await own.writeEntry({ kind: 'plan-refused', ...requestFacts(row), code });
  await own.database.run('select firebreak.append_entry($1)', [entry]);
}
