import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { codeOf } from '../refusal.ts';
import { parseJwks } from './jwks.ts';
import { verifyJws } from './verify.ts';

/** Every JWS of the files in test/vectors/wycheproof-jose; its JWE cases are nothing that Firebreak reads. */
const jwkSchema = z.looseObject({});
const setSchema = z.union([
  z.strictObject({ keys: z.array(jwkSchema) }),
  jwkSchema.transform((jwk) => ({ keys: [jwk] })),
]);
const caseSchema = z.object({
  tcId: z.int(),
  comment: z.string(),
  jws: z.union([z.string(), z.looseObject({}).transform((json) => JSON.stringify(json))]).optional(),
  result: z.enum(['valid', 'invalid']),
});
const groupSchema = z
  .object({
    comment: z.string(),
    private: setSchema.optional(),
    public: setSchema.optional(),
    tests: z.array(caseSchema),
  })
  .transform(({ comment, tests, ...keys }) => ({
    comment,
    tests,
    set: keys.public ?? keys.private ?? { keys: [] },
  }));
const fileSchema = z.object({ testGroups: z.array(groupSchema) });

/** Where Firebreak is stricter than a vector, and why. It is never laxer. */
const SYMMETRIC =
  'HS256, HS384 and HS512 are refused: whoever verifies with a shared secret can sign with it';
const stricter: Record<string, Record<number, string>> = {
  json_web_crypto_test: { 1: SYMMETRIC, 48: SYMMETRIC },
  json_web_key_test: { 2: SYMMETRIC, 13: SYMMETRIC, 14: SYMMETRIC, 15: SYMMETRIC },
};

const casesOf = { json_web_crypto_test: 49, json_web_key_test: 26 };

describe.each(Object.entries(casesOf))('wycheproof %s', (name, count) => {
  const file = new URL(`../../test/vectors/wycheproof-jose/${name}.json`, import.meta.url);
  const { testGroups } = fileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  const cases = testGroups.flatMap(({ set, comment: group, tests }) =>
    tests.flatMap(({ jws, ...one }) => (jws === undefined ? [] : [{ ...one, set, group, jws }])),
  );

  test('holds as many cases of JWS as it is known to', () => {
    expect(cases).toHaveLength(count);
  });

  test.each(cases)('$tcId $group $comment is $result', async ({ tcId, set, jws, result }) => {
    const keys = await parseJwks(JSON.stringify(set));
    const code = await verifyJws(jws, { keys }).then(() => null, codeOf);
    const accepted = result === 'valid' && stricter[name]?.[tcId] === undefined;
    expect(code).toBe(accepted ? null : 'INVALID_TOKEN');
  });

  test('is taken more strictly only where it accepts', () => {
    const reasoned = Object.keys(stricter[name] ?? {}).map(Number);
    const valid = cases.filter(({ result }) => result === 'valid').map(({ tcId }) => tcId);
    expect(valid).toEqual(expect.arrayContaining(reasoned));
  });
});
