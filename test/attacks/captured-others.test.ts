import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openDatabase } from '../../src/database/pool.ts';
import { type Captured, capture, claimsOf, consume, mintAsExecutor, trade } from '../../src/dev/captured.ts';
import { forgeCapability } from '../../src/dev/demo/forge-capability.ts';
import type { Domain } from '../../src/domains.ts';
import type { Claims } from '../../src/identity/claims.ts';
import { sign } from '../../src/identity/verify.ts';
import { createEntryWriter } from '../../src/ledger/entry.ts';
import { codeOf } from '../../src/refusal.ts';
import { type Asked, type Firebreak, startFirebreak } from '../fixtures/firebreak.ts';

/** Each other domain captured alone, with its real keys and login: none of them makes an effect. */
let firebreak: Firebreak;
let executor: Captured;
const captured: Captured[] = [];
beforeAll(async () => {
  firebreak = await startFirebreak();
  await firebreak.dev.kill('executor', 'SIGKILL');
  executor = await captureKept('executor');
});
afterAll(async () => {
  for (const each of captured) await each.close();
  await firebreak.stop();
});

let asked: Asked;
beforeEach(async () => {
  asked = await firebreak.submit();
  await firebreak.slack.findCard(asked.requestId);
});

async function captureKept(domain: Domain): Promise<Captured> {
  const each = await capture(firebreak, domain);
  captured.push(each);
  return each;
}

const nowS = () => Math.floor(Date.now() / 1_000);

async function approved(): Promise<void> {
  await firebreak.click(asked, 'alice');
  await expect
    .poll(async () => (await firebreak.entries(asked.requestId)).map(({ kind }) => kind), { timeout: 10_000 })
    .toContain('voted');
}

/** A capability by the broker's own key for what nobody approved. */
const forge = async (broker: Captured) => await forgeCapability(broker, executor, asked.requestId);

test('broker and executor together: a capability without votes is not consumed', async () => {
  const broker = await captureKept('broker');
  const attempt = await forge(broker);
  await expect(consume(firebreak, executor, attempt).catch(codeOf)).resolves.toBe('APPROVAL_MISSING');
});

test('gate and executor together: a receipt without votes is not traded', async () => {
  await approved();
  const attempt = await mintAsExecutor(executor, asked.requestId);
  const gate = await captureKept('gate');
  const used = await consume(firebreak, executor, attempt);
  const claims = claimsOf(used.receipt);
  // The gate's own signature on a receipt for a capability that it never used up.
  const receipt = await sign(await gate.signer('receipt'), 'receipt', {
    ...(claims as Claims<'receipt'>), // The gate wrote them a moment ago.
    jti: randomUUID(),
  });
  const unvoted = trade(firebreak, executor, { ...attempt, used }, { receipt, votes: [] });
  await expect(unvoted.catch(codeOf)).resolves.toBe('APPROVAL_MISSING');
  expect(await firebreak.target.effects(asked.requestId)).toMatchObject({ count: 0 });
});

test('the gate’s key signs no capability, and the broker’s no receipt', async () => {
  const gate = await captureKept('gate');
  const broker = await captureKept('broker');
  const attempt = await forge(broker);
  const wrong = { ...(await broker.signer('capability')), ...(await gate.signer('receipt')) };
  const forged = await sign({ ...wrong, kind: 'capability' }, 'capability', {
    ...(claimsOf(attempt.capability) as Claims<'capability'>), // Written above.
    iss: 'gate',
  });
  const consumed = consume(firebreak, executor, { ...attempt, capability: forged });
  await expect(consumed.catch(codeOf)).resolves.toBe('CAPABILITY_INVALID');
});

test('the people domain cannot vote for the agent’s owner, nor twice for one person', async () => {
  const people = await captureKept('people');
  const card = (await firebreak.entries(asked.requestId)).find(({ kind }) => kind === 'asked');
  const cast = async (voter: string) => {
    const statement = await sign(await people.signer('vote'), 'vote', {
      iss: 'people',
      iat: nowS(),
      jti: randomUUID(),
      requestId: asked.requestId,
      revision: 1,
      vote: 'approve',
      digest: String(card?.['digest']),
      voter,
      policyDigest: String(card?.['policyDigest']),
      notAfter: nowS() + 600,
      nonce: randomBytes(8).toString('hex'),
      via: 'slack',
      surface: { team: 'T', user: 'U', channel: 'C', message: '1' },
    });
    const writeEntry = createEntryWriter(await people.signer('entry'), () => Date.now());
    const entry = await writeEntry({ kind: 'voted', requestId: asked.requestId, votes: [statement] });
    await people.database.run('select firebreak.cast_vote($1, $2)', [statement, entry]);
  };
  for (const voter of ['dana', 'dana', 'erin', 'nobody']) await cast(voter);
  await expect(mintAsExecutor(executor, asked.requestId).catch(codeOf)).resolves.toBe('APPROVAL_MISSING');
  const attempt = await forge(await captureKept('broker'));
  await expect(consume(firebreak, executor, attempt).catch(codeOf)).resolves.toBe('APPROVAL_MISSING');
});

test('a domain calls only what the table gives it', async () => {
  const orchestrator = await captureKept('orchestrator');
  const gateway = await captureKept('gateway');
  const attempt = await forge(await captureKept('broker'));
  await expect(mintAsExecutor(orchestrator, asked.requestId).catch(codeOf)).resolves.toBe(
    'CALL_NOT_PERMITTED',
  );
  await expect(consume(firebreak, gateway, attempt).catch(codeOf)).resolves.toBe('CALL_NOT_PERMITTED');
});

const powers: readonly (readonly [string, string])[] = [
  [
    'votes',
    'insert into firebreak.vote (request_id, revision, digest, voter, choice, statement) values ($1, 1, $1, $1, $1, $1)',
  ],
  ['votes taken away', 'delete from firebreak.vote where request_id = $1'],
  ['consumption', 'delete from firebreak.consumption where effect_key = $1'],
  ['authority', 'update firebreak.authority set version = version + 1 where $1 <> $1'],
  ['ledger', 'delete from firebreak.entry where request_id = $1'],
  ['tree', 'update firebreak.ledger_state set size = 0 where $1 <> $1'],
  ['requests', `update firebreak.request set state = 'done' where id = $1`],
  ['plans', 'update firebreak.plan set body = $1 where request_id = $1'],
  ['owner', `select set_config('role', 'firebreak_owner', true) where $1 <> ''`],
];
const logins: readonly Domain[] = [
  'gateway',
  'people',
  'broker',
  'gate',
  'credentials',
  'ledger',
  'orchestrator',
  'planner',
  'executor',
];

test.each(logins)('the login of %s writes no row that is not its own function’s', async (domain) => {
  const { database } = await captureKept(domain);
  for (const [, text] of powers) {
    const tried = database.run(text, [asked.requestId]).then(
      () => 'done',
      (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
    );
    await expect(tried).resolves.toBe('42501');
  }
});

const functions: readonly (readonly [string, Domain])[] = [
  [`firebreak.cast_vote('x', 'y')`, 'people'],
  [`firebreak.consume('{}', 1, 'y')`, 'gate'],
  [`firebreak.record_plan('x', 1, 'h', 'b', 's', 'e')`, 'planner'],
  [`firebreak.record_decision('x', 1, 's', 't', 'e')`, 'broker'],
  [`firebreak.record_outcome('x', 'y')`, 'executor'],
  [`firebreak.set_request_state('x', 'done', '{}', null)`, 'orchestrator'],
  [`firebreak.file_request('{}', 'y')`, 'gateway'],
  [`firebreak.cancel_request('x', 'y')`, 'gateway'],
  [`firebreak.ledger_lock()`, 'ledger'],
];

test.each(functions)('%s is %s’s alone', async (call, owner) => {
  for (const domain of logins.filter((each) => each !== owner)) {
    const { database } = await captureKept(domain);
    const tried = database.run(`select ${call}`).then(
      () => 'done',
      (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
    );
    await expect(tried).resolves.toBe('42501');
  }
});

test('an entry of another domain’s author or kind is not appended', async () => {
  const gateway = await captureKept('gateway');
  const broker = await captureKept('broker');
  const byBroker = createEntryWriter(await broker.signer('entry'), () => Date.now());
  const entry = await byBroker({ kind: 'decided', requestId: asked.requestId });
  const foreign = gateway.database.run('select firebreak.append_entry($1)', [entry]);
  await expect(foreign.catch(codeOf)).resolves.toBe('NOT_PERMITTED');
  const byGateway = createEntryWriter(await gateway.signer('entry'), () => Date.now());
  const wrongKind = gateway.database.run('select firebreak.append_entry($1)', [
    await byGateway({ kind: 'consumed', requestId: asked.requestId }),
  ]);
  await expect(wrongKind).rejects.toMatchObject({ code: '23503' });
});

test('the login of the executor reaches nothing at the target but one function', async () => {
  const target = openDatabase(executor.environment['FIREBREAK_TARGET_URL_SHOP'] ?? '', () => undefined);
  for (const text of [
    'select * from public.newsletter_subscriptions',
    'delete from public.newsletter_subscriptions',
    'select * from firebreak.keys',
    'delete from firebreak.effects',
    `select firebreak.restore_rows('x')`,
    'set role firebreak_target_owner',
    'set role firebreak_target_hands',
    `select firebreak_hands.take('[]', '[]')`,
  ]) {
    await expect(target.run(text)).rejects.toMatchObject({ code: '42501' });
  }
  await target.close();
});
