import type { KeyObject } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { rawJws } from '../../test/fixtures/signed-tokens.ts';
import example from '../../test/vectors/dpop/rfc9449_resource_proof.json' with { type: 'json' };
import { sha256Base64url } from '../canonical.ts';
import { createProof, PROOF_AGE_MAX_S, verifyProof } from './dpop.ts';
import { createPossessionKey, importPrivate, type PublicJwk } from './keys.ts';
import { CLOCK_SKEW_S } from './verify.ts';

const refused = { code: 'INVALID_DPOP_PROOF' };

describe('the proof of RFC 9449', () => {
  const asked = {
    method: example.method,
    url: example.url,
    accessToken: example.access_token,
    nowS: example.iat,
  };

  test('is accepted for its call, token and time, by the thumbprint of its key', async () => {
    expect(sha256Base64url(example.access_token)).toBe(example.ath);
    expect(await verifyProof(example.proof, asked)).toMatchObject({ jkt: example.jkt, iat: example.iat });
    // 4.3 (9): the query and the spelling of the host are no part of it.
    expect(
      await verifyProof(example.proof, {
        ...asked,
        url: 'https://RESOURCE.example.org:443/protectedresource?a=1',
      }),
    ).toMatchObject({ jkt: example.jkt });
  });

  test.each([
    ['another method', { method: 'POST' }],
    ['another path', { url: 'https://resource.example.org/protectedresourc' }],
    ['another host', { url: 'https://elsewhere.example.org/protectedresource' }],
    ['another scheme', { url: 'http://resource.example.org/protectedresource' }],
    ['another token', { accessToken: `${example.access_token}x` }],
    ['no token', { accessToken: undefined }],
    ['a later time', { nowS: example.iat + PROOF_AGE_MAX_S + 1 }],
    ['an earlier time', { nowS: example.iat - CLOCK_SKEW_S - 1 }],
  ])('is refused for %s', async (_name, changes) => {
    const { accessToken, ...rest } = { ...asked, ...changes };
    const input = accessToken === undefined ? rest : { ...rest, accessToken };
    await expect(verifyProof(example.proof, input)).rejects.toMatchObject(refused);
  });

  test('is refused twice in one call, and when it is none', async () => {
    await expect(verifyProof([example.proof, example.proof], asked)).rejects.toMatchObject(refused);
    await expect(verifyProof(undefined, asked)).rejects.toMatchObject(refused);
  });
});

describe('the form of a proof', () => {
  let key: KeyObject;
  let jwk: PublicJwk;
  let privateJwk: Record<string, unknown>;
  const asked = { method: 'POST', url: 'http://door.test/v1/requests', nowS: 1_800_000_000 };
  const claims = { jti: 'x'.repeat(16), htm: 'POST', htu: asked.url, iat: asked.nowS };
  beforeAll(async () => {
    const made = await createPossessionKey();
    key = importPrivate(made.privateJwk);
    jwk = made.publicJwk;
    privateJwk = { ...made.privateJwk };
  });
  const header = () => ({ typ: 'dpop+jwt', alg: 'ES256', jwk });
  const proofOf = async (head: object | string, body: object | string) => await rawJws(key, head, body);

  test('of RFC 9449 4.2 is accepted', async () => {
    const thumbprint = expect.objectContaining({ jti: claims.jti });
    expect(await verifyProof(await proofOf(header(), claims), asked)).toEqual(thumbprint);
    expect(await verifyProof(await createProof(key, jwk, asked), asked)).toMatchObject({ iat: asked.nowS });
  });

  test.each<[string, () => [object | string, object | string]]>([
    ['another typ', () => [{ ...header(), typ: 'jwt' }, claims]],
    ['typ in capitals', () => [{ ...header(), typ: 'DPOP+JWT' }, claims]],
    ['alg none', () => [{ ...header(), alg: 'none' }, claims]],
    ['alg HS256', () => [{ ...header(), alg: 'HS256' }, claims]],
    ['a private key in it', () => [{ ...header(), jwk: privateJwk }, claims]],
    ['another member in the header', () => [{ ...header(), kid: 'k' }, claims]],
    ['crit', () => [{ ...header(), crit: ['exp'] }, claims]],
    ['a point that is not on the curve', () => [{ ...header(), jwk: { ...jwk, y: jwk.x } }, claims]],
    ['no jti', () => [header(), { ...claims, jti: undefined }]],
    ['a short jti', () => [header(), { ...claims, jti: 'x'.repeat(15) }]],
    ['a claim that is not known', () => [header(), { ...claims, nonce: 'n' }]],
    ['htm twice', () => [header(), JSON.stringify(claims).replace('{', '{"htm":"GET",')]],
    ['alg twice', () => [JSON.stringify(header()).replace('{', '{"alg":"none",'), claims]],
  ])('with %s is refused', async (_name, parts) => {
    await expect(verifyProof(await proofOf(...parts()), asked)).rejects.toMatchObject(refused);
  });
});
