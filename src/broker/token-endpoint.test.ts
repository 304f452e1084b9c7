import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { importJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type AgentsDoor, startAgentsDoor } from '../../test/fixtures/agents-door.ts';
import { createProof } from '../identity/dpop.ts';
import { createPossessionKey, importPrivate } from '../identity/keys.ts';
import { verify } from '../identity/verify.ts';
import { loadWorkloadIssuers } from './workload-token.ts';

let door: AgentsDoor;
beforeAll(async () => {
  door = await startAgentsDoor();
});
afterAll(async () => await door.stop());

const nowS = () => Math.floor(Date.now() / 1_000);
const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';

/** A workload token with everything in order but what the test changes; null leaves a member out. */
async function workloadToken(
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<string> {
  const { issuer, subject, audience, jwk } = door.workload('cleaner');
  const all = { iss: issuer, sub: subject, aud: audience, iat: nowS(), exp: nowS() + 300, ...claims };
  const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
  return await new SignJWT(kept)
    .setProtectedHeader({ alg: 'ES256', kid: jwk.kid, ...header })
    .sign(await importJWK(jwk, 'ES256'));
}

type Exchange = {
  token?: string;
  form?: Record<string, string>;
  raw?: string;
  proof?: string | null;
  type?: string;
};

async function proofFor(changes: { url?: string; method?: string; at?: number } = {}) {
  const { privateJwk, publicJwk, jkt } = await createPossessionKey();
  const proof = await createProof(importPrivate(privateJwk), publicJwk, {
    method: changes.method ?? 'POST',
    url: changes.url ?? `${door.origin}/oauth/token`,
    nowS: changes.at ?? nowS(),
  });
  return { proof, jkt };
}

async function exchange(changes: Exchange = {}) {
  const form = {
    grant_type: GRANT,
    subject_token: changes.token ?? (await workloadToken()),
    subject_token_type: JWT_TYPE,
    scope: 'cleanup',
    ...changes.form,
  };
  const proof = changes.proof === undefined ? (await proofFor()).proof : changes.proof;
  const response = await fetch(`${door.origin}/oauth/token`, {
    method: 'POST',
    headers: {
      'content-type': changes.type ?? 'application/x-www-form-urlencoded',
      ...(proof === null ? {} : { dpop: proof }),
    },
    body: changes.raw ?? new URLSearchParams(form).toString(),
  });
  const json = z.record(z.string(), z.unknown()).parse(await response.json());
  return { status: response.status, headers: response.headers, json };
}

async function errorOf(changes: Exchange): Promise<string> {
  const { status, headers, json } = await exchange(changes);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(json['error_description']).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
  return `${status} ${String(json['error'])} ${String(json['code'])}`;
}

const kindsOf = async (kind: string) =>
  z
    .array(z.object({ jws: z.string() }))
    .parse(await door.query('select jws from firebreak.entry where kind = $1 order by recorded_at', [kind]));

describe('a session opens', () => {
  test('with a token that is bound to the key, a row and its entry', async () => {
    const { proof, jkt } = await proofFor();
    const { status, headers, json } = await exchange({ proof });
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(json).toMatchObject({ token_type: 'DPoP', expires_in: 3_600, scope: 'cleanup' });
    expect(json['issued_token_type']).toBe('urn:ietf:params:oauth:token-type:access_token');
    const trust = { keys: door.database.keys, nowS: nowS() };
    const claims = await verify('access', String(json['access_token']), { ...trust, audience: door.origin });
    expect(claims).toMatchObject({
      sub: 'agent:cleaner',
      client_id: 'cleaner',
      tenant: 'acme',
      cnf: { jkt },
    });
    expect(claims).not.toHaveProperty('act');
    expect(claims.sid).toBe(json['session_id']);
    const [row] = await door.query('select * from firebreak.session where id = $1', [claims.sid]);
    expect(row).toMatchObject({ agent: 'cleaner', owner: 'olga', jkt, epoch: 0, revoked_at: null });
    const entry = (await kindsOf('session-opened')).at(-1);
    expect(await verify('entry', entry?.jws ?? '', trust)).toMatchObject({
      iss: 'broker',
      session: claims.sid,
    });
  });

  test('for a JWT-SVID shape: one audience in an array, no iat, no typ', async () => {
    const token = await workloadToken({ aud: ['firebreak'], iat: null });
    expect((await exchange({ token })).status).toBe(200);
    expect((await exchange({ token: await workloadToken({}, { typ: 'JWT' }) })).status).toBe(200);
  });

  test('without scope, where the workload has one purpose', async () => {
    expect((await exchange({ form: { scope: '' } })).json).toMatchObject({ scope: 'cleanup' });
  });
});

describe('the workload token', () => {
  const refused = '400 invalid_request INVALID_TOKEN';
  test.each([
    ['has expired', { exp: 1 }],
    ['never expires', { exp: null }],
    ['lives longer than an hour', { exp: nowS() + 3_700 }],
    ['lives longer than an hour, without iat', { exp: nowS() + 3_700, iat: null }],
    ['is from the future', { iat: nowS() + 120, exp: nowS() + 300 }],
    ['is not valid yet', { nbf: nowS() + 120 }],
    ['is for two audiences', { aud: ['firebreak', 'other'] }],
    ['has a fractional time', { exp: nowS() + 0.5 }],
    ['is of another issuer', { iss: 'https://evil.test' }],
  ])('is refused when it %s', async (_what, claims) => {
    expect(await errorOf({ token: await workloadToken(claims) })).toBe(refused);
  });

  test.each([
    ['another typ', { typ: 'at+jwt' }],
    ['an embedded key', { jwk: { kty: 'EC' } }],
    ['a key address', { jku: 'https://evil.test/jwks' }],
    ['an unknown kid', { kid: 'other' }],
    ['no kid', { kid: undefined }],
  ])('is refused with %s in its header', async (_what, header) => {
    expect(await errorOf({ token: await workloadToken({}, header) })).toBe(refused);
  });

  test('is refused for alg none, HMAC with the public key, another signature, another form', async () => {
    const token = await workloadToken();
    const [, payload = '', signature = ''] = token.split('.');
    const headerOf = (header: object) => Buffer.from(JSON.stringify(header)).toString('base64url');
    const hmac = headerOf({ alg: 'HS256', kid: 'issuer-key-1' });
    const mac = createHmac('sha256', 'public').update(`${hmac}.${payload}`).digest('base64url');
    const none = headerOf({ alg: 'none', kid: 'issuer-key-1' });
    const other = Buffer.alloc(64, 1).toString('base64url');
    for (const forged of [
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      `${hmac}.${payload}.${mac}`,
      `${token.split('.')[0] ?? ''}.${payload}.${other}`,
      `${token} `,
      `${token}.`,
      'x',
    ]) {
      expect(await errorOf({ token: forged })).toBe(refused);
    }
  });

  test('is refused when nothing is mapped to exactly its subject and audience', async () => {
    const unknown = '400 invalid_request WORKLOAD_UNKNOWN';
    const before = (await kindsOf('session-refused')).length;
    expect(await errorOf({ token: await workloadToken({ sub: 'cleaner2' }) })).toBe(unknown);
    expect(await errorOf({ token: await workloadToken({ sub: 'Cleaner' }) })).toBe(unknown);
    expect(await errorOf({ token: await workloadToken({ aud: 'other' }) })).toBe(unknown);
    expect(await kindsOf('session-refused')).toHaveLength(before);
  });
});

describe('the form', () => {
  test('takes unknown parameters and refuses a repeated one', async () => {
    const good = new URLSearchParams({
      grant_type: GRANT,
      subject_token: await workloadToken(),
      subject_token_type: JWT_TYPE,
    }).toString();
    expect((await exchange({ raw: `${good}&unknown=1` })).status).toBe(200);
    const wrong = '400 invalid_request INVALID_INPUT';
    expect(await errorOf({ raw: `${good}&scope=cleanup&scope=cleanup` })).toBe(wrong);
    expect(await errorOf({ raw: `${good}&sc%6fpe=cleanup&scope=cleanup` })).toBe(wrong);
    expect(await errorOf({ raw: `${good}&scope=%zz` })).toBe(wrong);
    expect(await errorOf({ raw: `${good}&scope=%ff` })).toBe(wrong);
    expect(await errorOf({ raw: `${good}&a=b=c` })).toBe(wrong);
    expect(await errorOf({ raw: '{}', type: 'application/json' })).toBe(wrong);
    expect(await errorOf({ raw: '' })).toBe('400 unsupported_grant_type INVALID_INPUT');
  });

  test('refuses other grants, types, targets and delegation that it would have to drop', async () => {
    expect(await errorOf({ form: { grant_type: 'password' } })).toBe(
      '400 unsupported_grant_type INVALID_INPUT',
    );
    const wrong = '400 invalid_request INVALID_INPUT';
    expect(await errorOf({ form: { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' } })).toBe(
      wrong,
    );
    expect(
      await errorOf({ form: { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' } }),
    ).toBe(wrong);
    expect(await errorOf({ form: { actor_token: 'x' } })).toBe(wrong);
    expect(await errorOf({ form: { subject_token: '' } })).toBe(wrong);
    expect(await errorOf({ form: { audience: 'https://elsewhere.test' } })).toBe(
      '400 invalid_target INVALID_INPUT',
    );
    expect((await exchange({ form: { audience: door.origin } })).status).toBe(200);
  });

  test('refuses a purpose that is not of this workload, and records it', async () => {
    const before = (await kindsOf('session-refused')).length;
    for (const scope of ['admin', 'cleanup admin', 'clean']) {
      expect(await errorOf({ form: { scope } })).toBe('400 invalid_scope NOT_PERMITTED');
    }
    const entries = await kindsOf('session-refused');
    expect(entries).toHaveLength(before + 3);
    const trust = { keys: door.database.keys, nowS: nowS() };
    expect(await verify('entry', entries.at(-1)?.jws ?? '', trust)).toMatchObject({
      iss: 'broker',
      subject: 'cleaner',
      code: 'NOT_PERMITTED',
    });
  });
});

describe('the proof', () => {
  const refused = '400 invalid_dpop_proof INVALID_DPOP_PROOF';

  test('is needed, and must be for this address, method and time', async () => {
    expect(await errorOf({ proof: null })).toBe(refused);
    expect(await errorOf({ proof: (await proofFor({ url: `${door.origin}/v1/requests` })).proof })).toBe(
      refused,
    );
    expect(await errorOf({ proof: (await proofFor({ method: 'GET' })).proof })).toBe(refused);
    expect(await errorOf({ proof: (await proofFor({ at: nowS() - 90 })).proof })).toBe(refused);
  });

  test('opens one session, not two', async () => {
    const { proof } = await proofFor();
    expect((await exchange({ proof })).status).toBe(200);
    expect(await errorOf({ proof })).toBe('400 invalid_dpop_proof PROOF_REPLAYED');
  });
});

describe('issuers', () => {
  const load = async (keys: object[]) => {
    await writeFile(join(door.database.directory, 'other.jwks'), JSON.stringify({ keys }));
    const settings = { ...door.settings, issuers: [{ issuer: 'x', jwks: 'other.jwks' }] };
    return await loadWorkloadIssuers(settings, door.database.directory);
  };
  const ec = { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43), kid: '1' };

  test('a key of a kind that signs, of one kid and of its own algorithm loads; others refuse to start', async () => {
    const { publicJwk } = await createPossessionKey();
    const good = { ...publicJwk, kid: '1', use: 'sig', alg: 'ES256' };
    expect((await load([good])).get('x')?.get('1')?.alg).toBe('ES256');
    await expect(load([good, good])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(load([{ ...good, alg: 'RS256' }])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(load([{ ...good, use: 'enc' }])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(load([{ kty: 'oct', k: 'AAAA', kid: '1' }])).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    await expect(load([{ kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: '1' }])).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    await expect(load([])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    // A point that is not on the curve.
    await expect(load([ec])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

test('metadata and keys are public, and the keys are public halves of what signs access and capabilities', async () => {
  const read = async (path: string) => await (await fetch(`${door.origin}/.well-known/${path}`)).json();
  expect(await read('oauth-authorization-server')).toMatchObject({
    issuer: door.origin,
    token_endpoint: `${door.origin}/oauth/token`,
  });
  const { keys } = z
    .object({ keys: z.array(z.record(z.string(), z.string())) })
    .parse(await read('jwks.json'));
  expect(keys).toHaveLength(2);
  for (const key of keys)
    expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
});
