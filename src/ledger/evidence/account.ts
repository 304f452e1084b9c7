import type { EntryBody } from '../../identity/claims.ts';
import { type EntryRead, statementId } from '../verify/read-entry.ts';

/** What happened, for a person: every sentence is one entry and names it. */
export type Sentence = { leafIndex: number; time: string; author: string; text: string };

export function accountOf(entries: readonly EntryRead[]): Sentence[] {
  const voters = new Map(
    entries.flatMap(({ vote }) => (vote === undefined ? [] : [[vote.id, vote.claims.voter]])),
  );
  return entries.map(({ leafIndex, body, vote }) => ({
    leafIndex,
    time: body.time,
    author: body.iss,
    text: textOf(body, {
      via: vote?.claims.via,
      voters: (body.votes ?? []).map((statement) => voters.get(statementId(statement)) ?? 'somebody unknown'),
    }),
  }));
}

function textOf(body: EntryBody, { via, voters }: { via: string | undefined; voters: string[] }): string {
  switch (body.kind) {
    case 'session-opened':
      return `session ${say(body.session)} was opened for agent ${say(body.subject)}`;
    case 'session-revoked':
      return `session ${say(body.session)} was revoked`;
    case 'context-issued':
      return `context of the request was signed for agent ${say(body.subject)} in session ${say(body.session)}`;
    case 'requested':
      return requested(body);
    case 'decided':
      return decided(body);
    case 'planned':
      return `plan ${say(body.planHash)} would change ${counts(body)}${besides(body)}; digest ${say(body.digest)}`;
    case 'asked':
      return `people were asked on digest ${say(body.digest)}: ${terms(body)}`;
    case 'voted':
      return `${say(body.voter)} voted ${say(body.decision)} on digest ${say(body.digest)}, by ${say(via)}`;
    case 'vote-refused':
      return `a vote of ${say(body.voter)} did not count: ${say(body.code)}`;
    case 'capability-minted':
      return `capability ${say(body.capability)} was minted for digest ${say(body.digest)}`;
    case 'consumed':
      return `capability ${say(body.capability)} was consumed for digest ${say(body.digest)} at fence ${say(body.fence)}, by the votes of ${voters.join(', ') || 'nobody'}: ${terms(body)}`;
    case 'traded':
      return `capability ${say(body.capability)} was traded for the credential of this one act`;
    case 'performed':
      return performed(body);
    case 'cancelled':
      return `agent ${say(body.subject)} took the request back`;
    case 'ended':
      return `request ended: ${say(body.outcome)}${because(body)}`;
    // Kinds that come later are shown by their name, and not left out.
    default:
      return `${body.kind}${because(body)}`;
  }
}

function requested(body: EntryBody): string {
  const { actor, subject, action, resource, tenant, environment, effectClass, requestDigest } = body;
  const who = `agent ${say(subject)}, for ${say(actor)},`;
  const where = `${say(resource)} in ${say(tenant)}/${say(environment)}`;
  return `${who} asked for ${say(action)} on ${where}, a ${say(effectClass)} act; request digest ${say(requestDigest)}`;
}

function decided(body: EntryBody): string {
  const rules = body.rules?.join(', ') ?? 'none';
  const needed = body.decision === 'requestable' ? `, ${terms(body)}` : '';
  return `policy ${say(body.policyDigest)} said ${say(body.decision)} at ${say(body.stage)} by rules ${rules}${needed}`;
}

function performed(body: EntryBody): string {
  const at = `at fence ${say(body.fence)}`;
  if (body.outcome === 'applied') return `effect was applied ${at}: ${counts(body)}`;
  if (body.outcome === 'refused') return `nothing was done ${at}${because(body)}`;
  return `nobody knows yet whether anything was done ${at}${because(body)}`;
}

function terms({ quorum, groups }: EntryBody): string {
  return `${quorum ?? 0} of ${groups?.join(', ') || 'nobody'} needed`;
}

function counts(body: EntryBody): string {
  const all = Object.entries(body.counts ?? {}).map(([what, count]) => `${what} ${count}`);
  return all.length === 0 ? 'nothing' : all.join(', ');
}

function besides({ overshoot = 0 }: EntryBody): string {
  return overshoot === 0 ? '' : ` and could do ${overshoot} more, beyond the plan`;
}

function because({ code, cause }: EntryBody): string {
  const words = [code, cause].filter((word) => word !== undefined);
  return words.length === 0 ? '' : ` (${words.join(': ')})`;
}

function say(word: string | number | undefined): string {
  return word === undefined ? 'unsaid' : String(word);
}
