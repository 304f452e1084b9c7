import { createHmac, createPublicKey, sign } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createForger,
  type Forger,
  type Forgery,
  type Good,
  goodClaims,
  type Members,
  withClaims,
  withHeader,
  without,
} from '../../test/fixtures/forged-tokens.ts';
import { type ReadKind, readKinds, signerOf } from '../../test/fixtures/signed-tokens.ts';
import { canonicalText } from '../canonical.ts';
import type { Domain } from '../domains.ts';
import { kinds } from './claims.ts';
import { createPossessionKey, importPrivate, type PublicJwk } from './keys.ts';

/** Every way to wrong tokens that is known, on every kind. Each starts from the token that is accepted. */
let forger: Forger;
beforeAll(async () => {
  forger = await createForger();
});
afterAll(async () => await forger.remove());

const twice = (members: Members, extra: string) => canonicalText(members).replace('{', `{${extra},`);
const bytes = (text: string, ...wrong: number[]) => Buffer.concat([Buffer.from(text), Buffer.from(wrong)]);
/** A decoder that is not fatal would read another text and go on. */
function brokenText(claims: Members): Buffer {
  const name = 'jti' in claims ? 'jti' : 'actor';
  const [before = '', after = ''] = canonicalText({ ...claims, [name]: 'cut here' }).split('cut here');
  return Buffer.concat([bytes(before, 0xc3, 0x28), Buffer.from(after)]);
}
const BOM = '\ufeff';

/** Those of the tokens that are not refused as every wrong token is. */
async function taken(kind: ReadKind, forgeries: readonly string[]): Promise<string[]> {
  const verdicts = await Promise.all(forgeries.map(async (token) => await forger.verdict(kind, token)));
  return forgeries.filter((_, at) => verdicts[at] !== 'INVALID_TOKEN');
}

describe.each(readKinds)('a token of kind %s', (kind) => {
  test.each<[string, (good: Good) => Forgery]>([
    ['alg none', withHeader({ alg: 'none' })],
    ['alg none in other letters', withHeader({ alg: 'nOnE' })],
    ['another curve’s alg', withHeader({ alg: 'ES384' })],
    ['alg in small letters', withHeader({ alg: 'es256' })],
    ['no alg', ({ header }) => ({ header: without(header, 'alg') })],
    ['no kid', ({ header }) => ({ header: without(header, 'kid') })],
    ['an unknown kid', withHeader({ kid: 'unknown' })],
    ['a kid that objects inherit', withHeader({ kid: '__proto__' })],
    ['no typ', ({ header }) => ({ header: without(header, 'typ') })],
    [
      'typ in capitals',
      ({ header }) => ({ header: { ...header, typ: String(header['typ']).toUpperCase() } }),
    ],
    [
      'typ as a media type',
      ({ header }) => ({ header: { ...header, typ: `application/${String(header['typ'])}` } }),
    ],
    ['crit', withHeader({ crit: ['exp'], exp: 1 })],
    ['b64', withHeader({ b64: true })],
    ['a key in it', withHeader({ jwk: { kty: 'EC' } })],
    ['jku', withHeader({ jku: 'https://keys.test/jwks.json' })],
    ['x5u', withHeader({ x5u: 'https://keys.test/chain.pem' })],
    ['x5c', withHeader({ x5c: ['MIIB'] })],
    ['zip', withHeader({ zip: 'DEF' })],
    ['a member that stands twice', ({ header }) => ({ header: twice(header, '"alg":"ES256"') })],
    [
      'members in another order',
      ({ header: { alg, ...rest } }) => ({ header: JSON.stringify({ ...rest, alg }) }),
    ],
    ['white space', ({ header }) => ({ header: canonicalText(header).replace('{', '{ ') })],
    ['a byte order mark', ({ header }) => ({ header: `${BOM}${canonicalText(header)}` })],
    ['bytes that are no UTF-8', ({ header }) => ({ header: bytes(canonicalText(header), 0xff) })],
    ['an array for an object', ({ header }) => ({ header: [header] })],
    ['no JSON', () => ({ header: 'header' })],
  ])('whose header has %s is refused', async (_name, forge) => {
    expect(await forger.verdict(kind, await forger.forged(kind, forge))).toBe('INVALID_TOKEN');
  });

  test.each<[string, (good: Good) => Forgery]>([
    ['a member that nobody knows', withClaims({ zzz: 1 })],
    ['a member by the name of a prototype', ({ claims }) => ({ payload: twice(claims, '"__proto__":{}') })],
    ['a member that stands twice', ({ claims }) => ({ payload: twice(claims, '"iss":"gate"') })],
    [
      'the same member twice',
      ({ claims }) => ({ payload: twice(claims, `"iss":"${String(claims['iss'])}"`) }),
    ],
    [
      'members in another order',
      ({ claims: { iss, ...rest } }) => ({ payload: JSON.stringify({ ...rest, iss }) }),
    ],
    ['white space', ({ claims }) => ({ payload: `${canonicalText(claims)}\n` })],
    [
      'a letter spelled as its number',
      ({ claims }) => ({ payload: canonicalText(claims).replace('"iss"', '"i\\u0073s"') }),
    ],
    ['a byte order mark', ({ claims }) => ({ payload: `${BOM}${canonicalText(claims)}` })],
    ['bytes that are no UTF-8', ({ claims }) => ({ payload: brokenText(claims) })],
    ['a lone surrogate', ({ claims }) => ({ payload: canonicalText(claims).replace('{', '{"\\ud800":1,') })],
    ['an array around it', ({ claims }) => ({ payload: [claims] })],
    ['nothing in it', () => ({ payload: {} })],
    ['no JSON', () => ({ payload: 'payload' })],
    ['more levels than any stack', () => ({ payload: '['.repeat(40_000) })],
    [
      'an issuer whose key did not sign',
      ({ claims }) => ({ payload: { ...claims, iss: otherIssuer(claims) } }),
    ],
    [
      'an array of audiences',
      ({ claims }) => ({ payload: { ...claims, aud: [claims['aud'] ?? 'firebreak'] } }),
    ],
    ['an actor behind the actor', withClaims({ act: { sub: 'cleaner', act: { sub: 'other' } } })],
  ])('whose claims have %s is refused', async (_name, forge) => {
    expect(await forger.verdict(kind, await forger.forged(kind, forge))).toBe('INVALID_TOKEN');
  });

  test('without one of its claims is refused', async () => {
    const required = Object.keys(goodClaims(kind)).filter((name) => !isOptional(kind, name));
    const lacking = required.map(
      async (name) => await forger.forged(kind, ({ claims }) => ({ payload: without(claims, name) })),
    );
    expect(required).toContain('iss');
    expect(await taken(kind, await Promise.all(lacking))).toEqual([]);
  });

  test('by a key of another kind, under either kid, is refused', async () => {
    for (const other of readKinds.filter((one) => one !== kind)) {
      const key = await forger.signer(other);
      const forgeries = [
        await forger.forged(kind, () => ({ key })),
        await forger.forged(kind, ({ header }) => ({ key, header: { ...header, kid: key.kid } })),
      ];
      expect(await taken(kind, forgeries)).toEqual([]);
    }
  });

  test('by a key that nobody vouches for is refused', async () => {
    const { privateJwk, publicJwk, jkt } = await createPossessionKey();
    const key = { ...(await forger.signer(kind)), kid: jkt, key: importPrivate(privateJwk) };
    for (const changes of [{}, { kid: jkt }, { kid: jkt, jwk: publicJwk }]) {
      const token = await forger.forged(kind, ({ header }) => ({ key, header: { ...header, ...changes } }));
      expect(await taken(kind, [token])).toEqual([]);
    }
  });

  test('is refused as a token of every other kind, whatever it calls itself', async () => {
    const token = await forger.forged(kind);
    for (const other of readKinds.filter((one) => one !== kind)) {
      const swapped = await forger.forged(kind, withHeader({ typ: kinds[other].typ }));
      expect(await taken(other, [token, swapped])).toEqual([]);
      expect(await taken(kind, [swapped])).toEqual([]);
    }
  });

  test('with the public key as a shared secret is refused', async () => {
    const secrets = secretsOf(await publicJwkOf(kind));
    const [head, payload] = (await forger.forged(kind, withHeader({ alg: 'HS256' }))).split('.');
    const forgeries = secrets.map((secret) => {
      const mac = createHmac('sha256', secret).update(`${head}.${payload}`).digest('base64url');
      return `${head}.${payload}.${mac}`;
    });
    expect(await taken(kind, forgeries)).toEqual([]);
  });

  test('in another spelling of base64url is refused', async () => {
    const token = await forger.forged(kind);
    expect(await taken(kind, [token])).toEqual([token]);
    expect(await taken(kind, spellingsOf(token))).toEqual([]);
  });

  test('with a fourth segment is refused, even where its signature covers it', async () => {
    const [header = '', payload = ''] = (await forger.forged(kind)).split('.');
    const { key } = await forger.signer(kind);
    const signedAs = (signed: string) =>
      `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
    const three = signedAs(`${header}.${payload}`);
    expect(await taken(kind, [three, signedAs(`${header}.${payload}.AAAA`)])).toEqual([three]);
  });

  test('with any one byte changed, added or taken away is refused', async () => {
    const token = await forger.forged(kind);
    const at = fc.nat(token.length - 1);
    const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
    const how = fc.constantFrom('change', 'add', 'take');
    await fc.assert(
      fc.asyncProperty(at, byte, how, async (index, character, change) => {
        const rest = token.slice(change === 'add' ? index : index + 1);
        const changed = `${token.slice(0, index)}${change === 'take' ? '' : character}${rest}`;
        fc.pre(changed !== token);
        expect(await forger.verdict(kind, changed)).toBe('INVALID_TOKEN');
      }),
      { numRuns: 300 },
    );
  });
});

const isOptional = (kind: ReadKind, name: string) =>
  name === 'act' || (kind === 'decision' && name === 'planHash');

/** An issuer of the same form that another domain would write. */
const otherIssuer = ({ iss }: Members): Domain => (iss === 'people' ? 'gateway' : 'people');

async function publicJwkOf(kind: ReadKind): Promise<PublicJwk> {
  const keys = await forger.publicKeys(signerOf(kind));
  const found = keys.find((key) => key.kind === kind);
  if (found === undefined) throw new TypeError(`expected a ${kind} key`);
  return found.jwk;
}

/** What a careless verifier would take for the secret of an HMAC. */
function secretsOf(jwk: PublicJwk): (string | Buffer)[] {
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const point = [Buffer.from([4]), Buffer.from(jwk.x, 'base64url'), Buffer.from(jwk.y, 'base64url')];
  return [
    JSON.stringify(jwk),
    canonicalText(jwk),
    Buffer.concat(point),
    key.export({ format: 'der', type: 'spki' }),
    key.export({ format: 'pem', type: 'spki' }),
  ];
}

function spellingsOf(token: string): string[] {
  const [header = '', payload = '', signature = ''] = token.split('.');
  return [
    '',
    '..',
    ` ${token}`,
    `${token}\n`,
    `${token}\r`,
    `${token}\0`,
    `${BOM}${token}`,
    `${token}=`,
    `${token}==`,
    `${token}.`,
    `${token}.${signature}`,
    `.${payload}.${signature}`,
    `${header}..${signature}`,
    `${header}.${payload}`,
    `${header}.${payload}.`,
    `${header}=.${payload}.${signature}`,
    `${header}\n.${payload}.${signature}`,
    `${header}. ${payload}.${signature}`,
    `${header}.${payload}\t.${signature}`,
    `${header}.${payload}=.${signature}`,
    `${header}.${payload}.${signature.slice(0, 9)}\n${signature.slice(9)}`,
    JSON.stringify({ protected: header, payload, signature }),
    ...unusedBitsOf(signature).map((other) => `${header}.${payload}.${other}`),
  ];
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The other 15 last characters that decode to the same 64 bytes. */
function unusedBitsOf(signature: string): string[] {
  const last = ALPHABET.indexOf(signature.slice(-1));
  return Array.from(
    { length: 16 },
    (_, low) => `${signature.slice(0, -1)}${ALPHABET.charAt((last & 0b110000) | low)}`,
  ).filter((other) => other !== signature);
}
