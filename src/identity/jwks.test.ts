import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { rawJws } from '../../test/fixtures/signed-tokens.ts';
import { codeOf } from '../refusal.ts';
import { parseJwks } from './jwks.ts';
import { verifyJws } from './verify.ts';

const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'RS256', 'PS384', 'EdDSA'] as const;
type Pair = { privateKey: CryptoKey; jwk: JWK };
const pairs = new Map<string, Pair>();
beforeAll(async () => {
  for (const alg of ALGORITHMS) {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    pairs.set(alg, { privateKey, jwk: await exportJWK(publicKey) });
  }
});

function pairOf(alg: string): Pair {
  const pair = pairs.get(alg);
  if (pair === undefined) throw new TypeError(`expected a key for ${alg}`);
  return pair;
}

const setOf = async (...keys: object[]) => await parseJwks(JSON.stringify({ keys }));
const signed = async (alg: string, header: object = {}) =>
  await new CompactSign(Buffer.from([0xff, 0]))
    .setProtectedHeader({ alg, kid: 'k', ...header })
    .sign(pairOf(alg).privateKey);

async function verdict(token: string, ...keys: object[]): Promise<string> {
  const set = await setOf(...keys);
  return await verifyJws(token, { keys: set }).then(() => 'accepted', codeOf);
}

describe('a key of a JWK Set', () => {
  test.each(ALGORITHMS)('for %s verifies its tokens, and those of no other algorithm', async (alg) => {
    const key = { ...pairOf(alg).jwk, kid: 'k', alg };
    expect(await verdict(await signed(alg), key)).toBe('accepted');
    for (const other of ALGORITHMS.filter((one) => one !== alg)) {
      expect(await verdict(await signed(other), key)).toBe('INVALID_TOKEN');
    }
  });

  test('without alg is for the one of its form; an RSA key for RS256', async () => {
    for (const alg of ['ES256', 'ES384', 'ES512', 'RS256', 'EdDSA']) {
      expect(await verdict(await signed(alg), { ...pairOf(alg).jwk, kid: 'k' })).toBe('accepted');
    }
    expect(await verdict(await signed('PS384'), { ...pairOf('PS384').jwk, kid: 'k' })).toBe('INVALID_TOKEN');
  });

  test.each<[string, (key: JWK) => object]>([
    ['a private half', (key) => ({ ...key, d: 'AAAA' })],
    ['a use that is no signature', (key) => ({ ...key, use: 'enc' })],
    ['operations without verify', (key) => ({ ...key, key_ops: ['sign'] })],
    ['another algorithm', (key) => ({ ...key, alg: 'ES384' })],
    ['the algorithm of a shared secret', (key) => ({ ...key, alg: 'HS256' })],
    ['another curve', (key) => ({ ...key, crv: 'P-384' })],
    ['a curve that is not known', (key) => ({ ...key, crv: 'secp256k1' })],
    ['a point beside the curve', (key) => ({ ...key, y: key.x })],
    ['no kid', ({ kid: _kid, ...key }) => key],
    ['a shared secret', () => ({ kty: 'oct', kid: 'k', k: 'A'.repeat(43) })],
  ])('with %s is not used', async (_name, change) => {
    const key: JWK = { ...pairOf('ES256').jwk, kid: 'k' };
    const token = await signed('ES256');
    expect(await verdict(token, { ...key, alg: 'ES256', use: 'sig', key_ops: ['verify'] })).toBe('accepted');
    expect(await verdict(token, change(key))).toBe('INVALID_TOKEN');
    expect((await setOf(change(key))).unused).toHaveLength(1);
  });

  test('of RSA with 2047 bits or exponent 3 is not used', async () => {
    const key = { ...pairOf('RS256').jwk, kid: 'k' };
    expect((await setOf(key)).unused).toEqual([]);
    const modulus = Buffer.from(key.n ?? '', 'base64url');
    modulus[0] = (modulus[0] ?? 0) & 0x7f;
    expect((await setOf({ ...key, n: modulus.toString('base64url') })).unused[0]?.reason).toContain('bits');
    expect((await setOf({ ...key, e: 'Aw' })).unused[0]?.reason).toContain('exponent');
  });

  test('whose kid another one has too is not used, nor is the other one', async () => {
    const key = { ...pairOf('ES256').jwk, kid: 'k' };
    const other = { ...pairOf('EdDSA').jwk, kid: 'k' };
    expect(await verdict(await signed('ES256'), key, { ...other, kid: 'o' })).toBe('accepted');
    expect(await verdict(await signed('ES256'), key, other)).toBe('INVALID_TOKEN');
    expect(await verdict(await signed('ES256'), key, key)).toBe('INVALID_TOKEN');
  });

  test.each(['[]', '{}', '{"keys":{}}', '{"keys":[],"keys":[]}', 'keys'])(
    'is not found in %s',
    async (text) => {
      await expect(parseJwks(text)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    },
  );
});

describe('somebody else’s JWS', () => {
  const key = () => ({ ...pairOf('ES256').jwk, kid: 'k' });
  const forged = async (header: object | string, payload = 'payload') =>
    await rawJws(pairOf('ES256').privateKey, header, payload);

  test('may have any payload, also none, and spaces in its header', async () => {
    expect(await verdict(await forged({ alg: 'ES256', kid: 'k', typ: 'JWT' }), key())).toBe('accepted');
    expect(await verdict(await forged({ alg: 'ES256', kid: 'k' }, ''), key())).toBe('accepted');
    expect(await verdict(await forged('{ "kid" : "k",\n"alg":"ES256" }'), key())).toBe('accepted');
    const { header, payload } = await verifyJws(await signed('ES256'), { keys: await setOf(key()) });
    expect({ header, payload: [...payload] }).toEqual({
      header: { alg: 'ES256', kid: 'k' },
      payload: [0xff, 0],
    });
  });

  test.each<[string, object | string]>([
    ['no kid', { alg: 'ES256' }],
    ['an unknown kid', { alg: 'ES256', kid: 'other' }],
    ['a kid that objects inherit', { alg: 'ES256', kid: 'constructor' }],
    ['alg none', { alg: 'none', kid: 'k' }],
    ['alg HS256', { alg: 'HS256', kid: 'k' }],
    ['another alg', { alg: 'ES384', kid: 'k' }],
    ['crit', { alg: 'ES256', kid: 'k', crit: ['b64'], b64: true }],
    ['b64', { alg: 'ES256', kid: 'k', b64: true }],
    ['a key in it', { alg: 'ES256', kid: 'k', jwk: { kty: 'EC' } }],
    ['jku', { alg: 'ES256', kid: 'k', jku: 'https://keys.test' }],
    ['x5u', { alg: 'ES256', kid: 'k', x5u: 'https://keys.test' }],
    ['x5c', { alg: 'ES256', kid: 'k', x5c: ['MIIB'] }],
    ['a member twice', '{"alg":"ES256","kid":"o","kid":"k"}'],
    ['a byte order mark', '\ufeff{"alg":"ES256","kid":"k"}'],
  ])('with %s in its header is refused', async (_name, header) => {
    expect(await verdict(await forged(header), key())).toBe('INVALID_TOKEN');
  });
});
