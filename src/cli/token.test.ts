import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createForger, type Forger, withClaims } from '../../test/fixtures/forged-tokens.ts';
import { claimsOf, ISSUED_S } from '../../test/fixtures/signed-tokens.ts';
import { TOKEN_LENGTH_MAX } from '../identity/compact-jws.ts';

let forger: Forger;
let jwks: string;
beforeAll(async () => {
  forger = await createForger();
  jwks = join(forger.data.root, 'jwks.json');
  const own = [...(await forger.publicKeys('broker')), ...(await forger.publicKeys('gate'))];
  const keys = own.map(({ kid, jwk }) => ({ ...jwk, kid, alg: 'ES256', use: 'sig' }));
  await writeFile(jwks, JSON.stringify({ keys }));
});
afterAll(async () => await forger.remove());

const launcher = fileURLToPath(new URL('../../bin/firebreak.mjs', import.meta.url));
const answerSchema = z.looseObject({
  valid: z.boolean().optional(),
  code: z.string().nullable().optional(),
  claims: z.record(z.string(), z.unknown()).nullable(),
});

async function token(args: readonly string[], input: string | Buffer) {
  const child = spawn(process.execPath, [launcher, 'token', ...args], { cwd: forger.data.root });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const lines = stdout.split('\n').slice(0, -1);
  return {
    code: await ended,
    stderr,
    stdout,
    answers: lines.map((line) => answerSchema.parse(JSON.parse(line))),
  };
}

const at = ['--at', String(ISSUED_S)];
const byData = () => ['verify', '--data', forger.data.root, ...at];
const byJwks = () => ['verify', '--jwks', jwks, ...at];

describe('firebreak token verify', () => {
  test('says of each line what it is, in order, by the key manifest and by a JWK Set', async () => {
    const good = await forger.forged('access');
    // A decoder that drops the high bit would read this as the good one.
    const high = Buffer.from(good);
    high[9] = (high[9] ?? 0) | 0x80;
    const others = [good, await forger.forged('capability'), '', `${good} `].join('\n');
    const lines = Buffer.concat([Buffer.from(`${others}\n`), high, Buffer.from(`\n${good}`)]);
    for (const by of [byData(), byJwks()]) {
      const { code, answers, stderr } = await token([...by, '--kind', 'access'], lines);
      expect(answers.map((answer) => answer.code)).toEqual([
        null,
        'INVALID_TOKEN',
        'INVALID_TOKEN',
        'INVALID_TOKEN',
        'INVALID_TOKEN',
        null,
      ]);
      expect(answers[0]).toEqual({ valid: true, code: null, kind: 'access', claims: claimsOf.access });
      expect(answers[1]).toMatchObject({ valid: false, claims: null });
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    }
  });

  test('judges each kind by the time given, with the codes of its door', async () => {
    const expected = [
      ['access', 'access', 'INVALID_TOKEN', 'INVALID_TOKEN'],
      ['ctx', 'context', 'CONTEXT_MISMATCH', 'SESSION_EXPIRED'],
      ['cap', 'capability', 'CAPABILITY_INVALID', 'CAPABILITY_EXPIRED'],
      ['receipt', 'receipt', 'RECEIPT_INVALID', 'RECEIPT_EXPIRED'],
    ] as const;
    const good = await Promise.all(expected.map(async ([, kind]) => await forger.forged(kind)));
    const wrong = await Promise.all(
      expected.map(async ([, kind]) => await forger.forged(kind, withClaims({ extra: 1 }))),
    );
    const lines = [...good, ...wrong].join('\n');
    const now = await token(byData(), lines);
    expect(now.answers.map(({ kind, code }) => kind ?? code)).toEqual([
      ...expected.map(([name]) => name),
      ...expected.map(([, , code]) => code),
    ]);
    const end = new Date(claimsOf.context.exp * 1_000).toISOString();
    const later = await token(['verify', '--jwks', jwks, '--at', end], lines);
    expect(later.answers.map(({ code }) => code)).toEqual([
      ...expected.map(([, , , code]) => code),
      ...expected.map(([, , code]) => code),
    ]);
  });

  test('checks the audience that it is given', async () => {
    const line = await forger.forged('capability');
    expect((await token([...byData(), '--audience', 'shop'], line)).code).toBe(0);
    expect((await token([...byData(), '--audience', 'elsewhere'], line)).answers[0]?.code).toBe(
      'CAPABILITY_INVALID',
    );
  });

  test('takes a key of the manifest for its own kind alone; a JWK Set cannot say that', async () => {
    const key = await forger.signer('capability');
    const line = await forger.forged('access', ({ header }) => ({
      key,
      header: { ...header, kid: key.kid },
    }));
    expect((await token(byData(), line)).code).toBe(1);
    expect((await token(byJwks(), line)).code).toBe(0);
  });

  test('jws looks at no claims, and neither vouches for them nor shows them', async () => {
    const expired = await forger.forged('access', withClaims({ exp: 1 }));
    const broken = `${expired.slice(0, -9)}AAAAAAAAA`;
    const { code, answers } = await token([...byJwks(), '--kind', 'jws'], `${expired}\n${broken}\n`);
    expect(answers).toEqual([
      { valid: true, code: null, kind: 'jws', claims: null },
      { valid: false, code: 'INVALID_TOKEN', reason: expect.any(String), claims: null },
    ]);
    expect(code).toBe(1);
  });

  test('set accepts one event by RS256, with no sub and no exp', async () => {
    const { publicKey, privateKey } = await generateKeyPair('RS256');
    const file = join(forger.data.root, 'transmitter.json');
    await writeFile(
      file,
      JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'r', use: 'sig' }] }),
    );
    const revoked = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
    const claims = {
      iss: 'https://idp.test',
      jti: 'e1',
      iat: ISSUED_S,
      aud: ['https://firebreak.test'],
      sub_id: { format: 'opaque', id: 'ses_1' },
      events: { [revoked]: { event_timestamp: ISSUED_S } },
    };
    const signed = async (changes: object, typ = 'secevent+jwt') =>
      await new SignJWT({ ...claims, ...changes })
        .setProtectedHeader({ alg: 'RS256', kid: 'r', typ })
        .sign(privateKey);
    const lines = [
      await signed({}),
      await signed({ sub: 'olga' }),
      await signed({ exp: ISSUED_S + 60 }),
      await signed({ events: {} }),
      await signed({ events: { ...claims.events, 'urn:other': {} } }),
      await signed({ sub_id: undefined }),
      await signed({ iat: ISSUED_S + 31 }),
      await signed({}, 'JWT'),
    ];
    const by = ['verify', '--jwks', file, ...at, '--kind', 'set'];
    const { answers } = await token([...by, '--audience', 'https://firebreak.test'], lines.join('\n'));
    expect(answers.map(({ valid }) => valid)).toEqual([true, ...lines.slice(1).map(() => false)]);
    expect((await token([...by, '--audience', 'elsewhere'], lines[0] ?? '')).code).toBe(1);
    // ES256 is no algorithm of such a token, whoever holds the key.
    const key = await forger.signer('access');
    const ours = await forger.forged('access', () => ({
      header: { alg: 'ES256', kid: key.kid, typ: 'secevent+jwt' },
      payload: claims,
    }));
    expect((await token([...byJwks(), '--kind', 'set'], ours)).answers[0]?.code).toBe('INVALID_TOKEN');
  });

  test('names the keys of a set that it does not use', async () => {
    const file = join(forger.data.root, 'mixed.json');
    const [{ kid, jwk } = { kid: '', jwk: {} }] = await forger.publicKeys('broker');
    const secret = { kty: 'oct', k: 'AAAA', kid: 'shared' };
    await writeFile(
      file,
      JSON.stringify({ keys: [{ ...jwk, kid }, secret, { ...jwk, kid: 'held', d: 'AAAA' }] }),
    );
    const { stderr, code } = await token(['verify', '--jwks', file, '--kind', 'jws'], 'a.b.c\n');
    expect(stderr).toMatch(
      /^CONFIG_INVALID: key shared is not used: .*\nCONFIG_INVALID: key held is not used: .*\n$/,
    );
    expect(code).toBe(1);
  });

  test('keeps no more of a line than refuses it, and answers a great many', async () => {
    const long = Buffer.alloc(40 * TOKEN_LENGTH_MAX, 'a');
    const lines = Buffer.concat([
      long,
      Buffer.from('\n'),
      Buffer.from('\n'.repeat(50_000)),
      Buffer.from('x'),
    ]);
    const { answers, code } = await token([...byJwks(), '--kind', 'jws'], lines);
    expect(answers).toHaveLength(50_002);
    expect(answers.every(({ valid }) => valid === false)).toBe(true);
    expect(code).toBe(1);
  });

  test('nothing at all is no valid token', async () => {
    expect(await token(byData(), '')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^INVALID_TOKEN: /),
    });
  });

  test('without usable keys gives no verdict', async () => {
    const nowhere = ['verify', '--data', join(forger.data.root, 'nowhere')];
    expect(await token(nowhere, 'x')).toMatchObject({ code: 1, stdout: '' });
    await writeFile(join(forger.data.root, 'none.json'), '[]');
    expect((await token(['verify', '--jwks', join(forger.data.root, 'none.json')], 'x')).stderr).toMatch(
      /^CONFIG_INVALID: /,
    );
  });

  test.each([
    [['verify', '--kind', 'jws']],
    [['verify', '--kind', 'vote']],
    [['verify', '--at', 'yesterday']],
    [['verify', '--kind', 'jws', '--jwks', 'jwks.json', '--audience', 'a']],
  ])('%j is wrong usage', async (args) => {
    expect(await token(args, '')).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('firebreak token inspect', () => {
  test('shows what stands in a token and says that nobody verified it', async () => {
    const line = `${(await forger.forged('access', withClaims({ scope: '\u202e\u009b31m' }))).slice(0, -9)}AAAAAAAAA`;
    const { code, answers, stdout } = await token(['inspect'], line);
    expect(code).toBe(0);
    expect(answers[0]).toMatchObject({
      verified: false,
      header: { alg: 'ES256', typ: 'at+jwt' },
      claims: { ...claimsOf.access, scope: '\u202e\u009b31m' },
    });
    // Who looks at it in a terminal sees the spelling, not its effect.
    expect(stdout).toContain('"scope":"\\u202e\\u009b31m"');
    expect(stdout).not.toContain('"valid"');
  });

  test('refuses what has not the form of a token', async () => {
    const good = await forger.forged('access');
    const twice = await forger.forged('access', () => ({ payload: '{"sub":"a","sub":"b"}' }));
    const { code, answers } = await token(
      ['inspect'],
      [good, 'x', `${good}=`, twice, `${good}\r`].join('\n'),
    );
    expect(code).toBe(1);
    expect(answers.map((answer) => answer['code'])).toEqual([undefined, ...Array(4).fill('INVALID_TOKEN')]);
    expect(answers[1]).toMatchObject({ verified: false, header: null, claims: null });
  });
});
