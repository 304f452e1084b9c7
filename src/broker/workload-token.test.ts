import { CompactSign, type CryptoKey, generateKeyPair, SignJWT } from 'jose';
import { beforeAll, expect, test } from 'vitest';
import type { Workload } from '../settings.ts';
import { verifyWorkload, type WorkloadIssuers } from './workload-token.ts';

const NOW_S = 1_800_000_000;
const workload: Workload = {
  issuer: 'https://issuer.test',
  subject: 'spiffe://test/cleaner',
  audience: 'firebreak',
  agent: 'cleaner',
  agentClass: 'worker',
  owner: 'olga',
  tenant: 'acme',
  environment: 'production',
  purposes: ['cleanup'],
  risk: 'low',
};

let rsa: CryptoKey;
let issuers: WorkloadIssuers;
beforeAll(async () => {
  const [rsaPair, ecPair] = await Promise.all([generateKeyPair('RS256'), generateKeyPair('ES256')]);
  rsa = rsaPair.privateKey;
  const keys = new Map([
    ['rsa', { alg: 'RS256' as const, key: rsaPair.publicKey }],
    ['ec', { alg: 'ES256' as const, key: ecPair.publicKey }],
  ]);
  issuers = new Map([[workload.issuer, keys]]);
});

const tokenOf = async (alg: string, kid: string) =>
  await new SignJWT({ sub: workload.subject, aud: workload.audience })
    .setProtectedHeader({ alg, kid })
    .setIssuer(workload.issuer)
    .setIssuedAt(NOW_S)
    .setExpirationTime(NOW_S + 300)
    .sign(rsa);

test('RS256 by an RSA key of the issuer is accepted', async () => {
  const trust = { issuers, workloads: [workload], nowS: NOW_S };
  expect(await verifyWorkload(await tokenOf('RS256', 'rsa'), trust)).toBe(workload);
});

test('another algorithm than the one of the key is refused', async () => {
  const trust = { issuers, workloads: [workload], nowS: NOW_S };
  await expect(verifyWorkload(await tokenOf('RS256', 'ec'), trust)).rejects.toMatchObject({
    code: 'INVALID_TOKEN',
  });
  const other = new Map([['https://other.test', issuers.get(workload.issuer) ?? new Map()]]);
  await expect(
    verifyWorkload(await tokenOf('RS256', 'rsa'), { ...trust, issuers: other }),
  ).rejects.toMatchObject({
    code: 'INVALID_TOKEN',
  });
});

test('a claim that stands twice is refused, however the last one reads', async () => {
  const trust = { issuers, workloads: [workload], nowS: NOW_S };
  const claims = (extra: string) =>
    `{${extra}"iss":"${workload.issuer}","sub":"${workload.subject}","aud":"firebreak","exp":${NOW_S + 300}}`;
  const signed = async (payload: string) =>
    await new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg: 'RS256', kid: 'rsa' }).sign(rsa);
  expect(await verifyWorkload(await signed(claims('')), trust)).toBe(workload);
  await expect(verifyWorkload(await signed(claims('"sub":"other",')), trust)).rejects.toMatchObject({
    code: 'INVALID_TOKEN',
  });
});
