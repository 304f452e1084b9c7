import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PeopleDoorFixture, startPeopleDoor } from '../../../test/fixtures/people-door.ts';

let fixture: PeopleDoorFixture;
beforeAll(async () => {
  fixture = await startPeopleDoor();
});
afterAll(async () => await fixture.stop());

async function payloadFor(): Promise<string> {
  const { requestId } = await fixture.ask();
  const card = await fixture.slack.card(requestId);
  return JSON.stringify(fixture.slack.payload('mia', card));
}

const formOf = (payload: string) => new URLSearchParams({ payload }).toString();

test('an interaction counts once, however often its bytes arrive', async () => {
  const { slack } = fixture;
  const body = formOf(await payloadFor());
  const timestamp = Math.floor(Date.now() / 1_000);
  const answers = await Promise.all([1, 2, 3, 4].map(async () => await slack.send(body, { timestamp })));
  expect(answers.map(({ status }) => status).sort((left, right) => left - right)).toEqual([
    200, 409, 409, 409,
  ]);
  expect(await slack.send(body, { timestamp })).toEqual({ status: 409, code: 'SLACK_REPLAYED' });
  // Neither a header nor a type in another spelling makes it new.
  const headers = { 'content-type': 'Application/X-WWW-Form-Urlencoded; charset=utf-8' };
  expect((await slack.send(body, { timestamp, headers })).code).toBe('SLACK_REPLAYED');
});

test('what Slack did not sign, or signed too long ago, is not read', async () => {
  const { slack } = fixture;
  const body = formOf(await payloadFor());
  expect(await slack.send(body, { secret: 'another' })).toEqual({ status: 401, code: 'SLACK_SIGNATURE' });
  const old = Math.floor(Date.now() / 1_000) - 301;
  expect(await slack.send(body, { timestamp: old })).toEqual({ status: 401, code: 'SLACK_STALE' });
  expect((await slack.send('{', { secret: 'another' })).code).toBe('SLACK_SIGNATURE');
  expect((await slack.send(body)).status).toBe(200);
});

test('only a form with exactly one payload is taken', async () => {
  const { slack } = fixture;
  const payload = await payloadFor();
  const body = formOf(payload);
  const json = { 'content-type': 'application/json' };
  expect((await slack.send(body, { headers: json })).code).toBe('INVALID_INPUT');
  for (const wrong of ['', 'a=1', `${body}&${body}`, `${body}&ssl_check=1`, 'payload=%FF%00']) {
    expect(['INVALID_INPUT', 'MALFORMED_JSON']).toContain((await slack.send(wrong)).code);
  }
  for (const wrong of ['', 'null', '[]', '"text"', '{"a":1']) {
    expect((await slack.send(formOf(wrong))).code).toBe('MALFORMED_JSON');
  }
  const bytes = Buffer.concat([Buffer.from(body), Buffer.from([0xff])]);
  expect((await slack.send(bytes)).code).toBe('INVALID_INPUT');
  expect((await slack.send(`payload=${'x'.repeat(600_000)}`)).code).toBe('TOO_LARGE');
  expect((await slack.send(body)).status).toBe(200);
});

test('an interaction that is none of ours is refused, and nothing is counted', async () => {
  const { slack } = fixture;
  const { requestId } = await fixture.ask();
  const card = await slack.card(requestId);
  const other = [{ type: 'button', action_id: 'another_app', value: card.value }];
  expect((await slack.interact(slack.payload('mia', card, { actions: other }))).code).toBe('UNKNOWN_ROUTE');
  expect((await slack.interact(slack.payload('mia', card, { actions: [] }))).code).toBe('UNKNOWN_ROUTE');
  expect((await slack.interact(slack.payload('mia', card, { user: { id: 7 } }))).code).toBe('INVALID_INPUT');
  expect((await slack.interact(slack.payload('mia', card, { type: 'unheard_of' }))).code).toBe(
    'INVALID_INPUT',
  );
  expect(await fixture.query('select 1 from firebreak.vote where request_id = $1', [requestId])).toEqual([]);
});
