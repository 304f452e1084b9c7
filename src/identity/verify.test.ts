import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  audienceOf,
  createForger,
  type Forger,
  goodClaims,
  withClaims,
} from '../../test/fixtures/forged-tokens.ts';
import { claimsOf, ISSUED_S, type ReadKind, readKinds } from '../../test/fixtures/signed-tokens.ts';
import { kinds } from './claims.ts';
import { TOKEN_LENGTH_MAX } from './compact-jws.ts';
import { ANY_AUDIENCE, CLOCK_SKEW_S, sign, verify } from './verify.ts';

/** What each kind accepts, and the edges of it; attacks.test.ts has what nobody may get away with. */
let forger: Forger;
beforeAll(async () => {
  forger = await createForger();
});
afterAll(async () => await forger.remove());

describe.each(readKinds)('a token of kind %s', (kind) => {
  test('as its signer makes it is accepted', async () => {
    expect(await forger.verdict(kind, await forger.forged(kind))).toBe('accepted');
    // The table says that these are the claims of the kind; TypeScript loses it over the list of kinds.
    const signed = await sign(await forger.signer(kind), kind, claimsOf[kind] as never);
    expect(await verify(kind, signed, { keys: forger.keys, nowS: ISSUED_S, ...audienceOf(kind) })).toEqual(
      claimsOf[kind],
    );
  });

  test('for another audience is refused, and nobody is asked for none', async () => {
    const { aud } = goodClaims(kind);
    const token = await forger.forged(kind);
    expect(await forger.verdict(kind, token, { audience: 'elsewhere' })).toBe('INVALID_TOKEN');
    expect(await forger.verdict(kind, token, { audience: undefined })).toBe(
      aud === undefined ? 'accepted' : 'INVALID_TOKEN',
    );
    expect(await forger.verdict(kind, token, { audience: ANY_AUDIENCE })).toBe('accepted');
  });
});

describe('the times of a token', () => {
  const limited = readKinds.filter((kind) => kinds[kind].lifetimeMaxS !== null);
  const lifetimeOf = (kind: ReadKind) => kinds[kind].lifetimeMaxS ?? 0;

  test.each(limited)('%s is good until the second before exp, not in it', async (kind) => {
    const token = await forger.forged(kind);
    const expS = ISSUED_S + lifetimeOf(kind);
    expect(await forger.verdict(kind, token, { nowS: expS - 1 })).toBe('accepted');
    expect(await forger.verdict(kind, token, { nowS: expS })).toBe('INVALID_TOKEN');
    expect(await forger.verdict(kind, token, { nowS: expS, expiredCode: 'SESSION_EXPIRED' })).toBe(
      'SESSION_EXPIRED',
    );
  });

  test.each(limited)('%s lives as long as its kind may, not a second longer', async (kind) => {
    const longer = await forger.forged(kind, withClaims({ exp: ISSUED_S + lifetimeOf(kind) + 1 }));
    expect(await forger.verdict(kind, await forger.forged(kind))).toBe('accepted');
    expect(await forger.verdict(kind, longer)).toBe('INVALID_TOKEN');
  });

  test.each(readKinds.filter((kind) => 'iat' in goodClaims(kind)))(
    '%s issued by a clock ahead is good within the skew',
    async (kind) => {
      const token = await forger.forged(kind);
      expect(await forger.verdict(kind, token, { nowS: ISSUED_S - CLOCK_SKEW_S })).toBe('accepted');
      expect(await forger.verdict(kind, token, { nowS: ISSUED_S - CLOCK_SKEW_S - 1 })).toBe('INVALID_TOKEN');
    },
  );

  test('a capability is not good before nbf, but for the skew', async () => {
    const nbfS = ISSUED_S + CLOCK_SKEW_S;
    const token = await forger.forged('capability', withClaims({ nbf: nbfS }));
    expect(await forger.verdict('capability', token, { nowS: ISSUED_S })).toBe('accepted');
    const later = await forger.forged('capability', withClaims({ nbf: nbfS + 1 }));
    expect(await forger.verdict('capability', later, { nowS: ISSUED_S })).toBe('INVALID_TOKEN');
  });

  test.each([1.5, -1, String(ISSUED_S), 1e300, null])(
    'that are %j and no whole seconds are refused',
    async (iat) => {
      expect(await forger.verdict('access', await forger.forged('access', withClaims({ iat })))).toBe(
        'INVALID_TOKEN',
      );
    },
  );

  test('of a statement that is evidence do not end', async () => {
    expect(await forger.verdict('vote', await forger.forged('vote'), { nowS: ISSUED_S * 2 })).toBe(
      'accepted',
    );
  });
});

describe('the size of a token', () => {
  test('may be 64 KiB and not one character more', async () => {
    const padded = async (length: number) =>
      await forger.forged('access', withClaims({ scope: 's'.repeat(length) }));
    const room = TOKEN_LENGTH_MAX - (await padded(0)).length;
    const lengths = Array.from({ length: 8 }, (_, less) => Math.floor((room * 3) / 4) + 4 - less);
    const all = await Promise.all(lengths.map(padded));
    const longest = all.find(({ length }) => length === TOKEN_LENGTH_MAX) ?? '';
    const longer =
      all.find(({ length }) => length === TOKEN_LENGTH_MAX + 1 || length === TOKEN_LENGTH_MAX + 2) ?? '';
    expect(await forger.verdict('access', longest)).toBe('accepted');
    expect(longer.length).toBeGreaterThan(TOKEN_LENGTH_MAX);
    expect(await forger.verdict('access', longer)).toBe('INVALID_TOKEN');
  });
});

test('a refusal carries the code that its reader asked for', async () => {
  const token = await forger.forged('receipt', withClaims({ fence: 0 }));
  expect(await forger.verdict('receipt', token, { code: 'RECEIPT_INVALID' })).toBe('RECEIPT_INVALID');
  expect(await forger.verdict('receipt', await forger.forged('receipt'), { code: 'RECEIPT_INVALID' })).toBe(
    'accepted',
  );
});

test('nobody signs with a key of another kind, or claims of another form', async () => {
  const claims = claimsOf.receipt;
  await expect(sign(await forger.signer('capability'), 'receipt', claims)).rejects.toMatchObject({
    code: 'INTERNAL',
  });
  await expect(sign(await forger.signer('receipt'), 'receipt', { ...claims, fence: 0 })).rejects.toThrowError(
    'fence',
  );
});
