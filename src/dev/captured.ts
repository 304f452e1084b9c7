import { join } from 'node:path';
import { z } from 'zod';
import { type Caller, callPath, createCaller } from '../call/call.ts';
import type { CallReply } from '../call/table.ts';
import { type DatabasePool, openDatabase } from '../database/pool.ts';
import { findRequest } from '../database/requests.ts';
import type { Domain } from '../domains.ts';
import type { Kind } from '../identity/claims.ts';
import { createProof } from '../identity/dpop.ts';
import {
  createPossessionKey,
  importPrivate,
  loadSigningKey,
  type PublicJwk,
  type SigningKey,
} from '../identity/keys.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import type { RunningDev } from './supervisor.ts';

type Running = { dev: RunningDev };

/**
 * One captured domain: everything that its process holds, real keys and real login, in the hands of an attacker.
 */
export type Captured = {
  caller: Caller;
  database: DatabasePool;
  signer(kind: Kind): Promise<SigningKey>;
  symmetricKey(name: string): Promise<Uint8Array>;
  /** The domain's environment, target logins included. */
  environment: NodeJS.ProcessEnv;
  close(): Promise<void>;
};

export async function capture({ dev }: Running, domain: Domain): Promise<Captured> {
  const environment = dev.environmentOf(domain);
  const directory = environment['FIREBREAK_KEYS'] ?? '';
  const signer = async (kind: Kind) => await loadSigningKey(domain, kind, directory);
  const database = openDatabase(dev.urls.login(domain), () => undefined);
  return {
    caller: createCaller({
      key: await signer('call'),
      addresses: dev.settings.addresses,
      clock: () => Date.now(),
    }),
    database,
    signer,
    symmetricKey: async (name) => await readSymmetricKey(join(directory, name)),
    environment,
    close: async () => await database.close(),
  };
}

export type AttemptKey = {
  privateJwk: Parameters<typeof importPrivate>[0];
  publicJwk: PublicJwk;
  jkt: string;
};

/** What an executor holds before it consumes. */
export type Attempt = {
  requestId: string;
  content: string;
  plan: CallReply<'planner', 'plan'>['body'];
  planStatement: string;
  capability: string;
  key: AttemptKey;
};

/** Plans and mints as the executor does. */
export async function mintAsExecutor(
  executor: Captured,
  requestId: string,
  changes: { context?: string } = {},
): Promise<Attempt> {
  const row = await findRequest(executor.database, requestId);
  const planned = await executor.caller.call('planner', 'plan', { requestId, revision: 1 });
  const key = await createPossessionKey();
  const { capability } = await executor.caller.call('broker', 'mint', {
    requestId,
    revision: 1,
    context: changes.context ?? row.context_envelope,
    planStatement: planned.statement,
    attemptKey: key.publicJwk,
  });
  return {
    requestId,
    content: row.content,
    plan: planned.body,
    planStatement: planned.statement,
    capability,
    key,
  };
}

/** @param url the address and verb that the proof is for. */
export async function prove(key: AttemptKey, capability: string, url: string): Promise<string> {
  return await createProof(importPrivate(key.privateJwk), key.publicJwk, {
    method: 'POST',
    url,
    accessToken: capability,
    nowS: Math.floor(Date.now() / 1_000),
  });
}

export async function consume(
  { dev }: Running,
  { caller }: Captured,
  attempt: Attempt,
  key: AttemptKey = attempt.key,
): Promise<CallReply<'gate', 'consume'>> {
  const { capability, planStatement } = attempt;
  const url = `${dev.settings.addresses.gate}${callPath('consume')}`;
  return await caller.call('gate', 'consume', {
    capability,
    proof: await prove(key, capability, url),
    planStatement,
  });
}

type TradeChanges = Partial<{ key: AttemptKey; receipt: string; votes: string[]; statement: string }>;

export async function trade(
  { dev }: Running,
  { caller }: Captured,
  attempt: Attempt & { used: CallReply<'gate', 'consume'> },
  changes: TradeChanges = {},
): Promise<CallReply<'credentials', 'trade'>> {
  const { capability, content, plan, used } = attempt;
  const url = `${dev.settings.addresses.credentials}${callPath('trade')}`;
  return await caller.call('credentials', 'trade', {
    capability,
    proof: await prove(changes.key ?? attempt.key, capability, url),
    receipt: changes.receipt ?? used.receipt,
    votes: changes.votes ?? used.votes,
    content,
    plan,
    statement: changes.statement ?? used.statement,
  });
}

const payloadSchema = z.record(z.string(), z.json());

/** The claims of a token, read by an attacker who verifies nothing. */
export function claimsOf(token: string): Record<string, unknown> {
  return payloadSchema.parse(
    JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')),
  );
}
