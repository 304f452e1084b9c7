import { dirname, join, resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Addresses, Caller } from '../call/call.ts';
import { createCaller } from '../call/call.ts';
import { type DatabasePool, openDatabase } from '../database/pool.ts';
import { forgetExpiredProofs } from '../database/proofs.ts';
import type { Domain } from '../domains.ts';
import type { Kind } from '../identity/claims.ts';
import { loadSigningKey, type SigningKey } from '../identity/keys.ts';
import { loadManifest, type TrustedKeys } from '../identity/manifest.ts';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import { createEntryWriter, type EntryWriter } from '../ledger/entry.ts';
import { createLog, type Log } from '../log.ts';
import { Refusal } from '../refusal.ts';
import { readSettings, type Settings } from '../settings.ts';
import {
  type Environment,
  hasTargetUrl,
  readEnvironment,
  readTargetUrl,
  type Secret,
} from './environment.ts';

/** What every domain's process has: its own keys, login, voice and log, and nothing of another one's. */
export type DomainProcess = {
  domain: Domain;
  settings: Settings;
  environment: Environment;
  log: Log;
  /** Milliseconds since the epoch. */
  clock: () => number;
  keys: TrustedKeys;
  signer(kind: Kind): Promise<SigningKey>;
  /** The path of one of this domain's own key files. */
  keyFile(name: string): string;
  database: DatabasePool;
  caller: Caller;
  writeEntry: EntryWriter;
  addresses: Addresses;
};

type Part = { close(): Promise<void> };

/**
 * Starts one domain: settles its settings, builds its parts, serves until SIGINT or SIGTERM, then closes the
 * parts in reverse order and lets the process end by itself.
 */
export async function runDomain(
  domain: Domain,
  build: (own: DomainProcess) => Promise<Part[]>,
): Promise<void> {
  const environment = readEnvironment(domain, process.env);
  const log = createLog(domain, environment.FIREBREAK_LOG_LEVEL);
  try {
    const own = await assemble(domain, environment, log);
    const parts = await build(own);
    closeAtSignal([own.database, ...parts], log);
    log.info({ address: own.addresses[domain] }, 'ready');
    process.send?.('ready');
  } catch (error) {
    log.fatal({ err: error }, 'did not start');
    process.exitCode = 1;
    process.disconnect?.();
    // Some parts may already run and keep the loop alive; a domain that did not start whole must not serve.
    process.exit();
  }
}

async function assemble(domain: Domain, environment: Environment, log: Log): Promise<DomainProcess> {
  const clock = () => Date.now();
  const settings = await readSettings(environment.FIREBREAK_CONFIG);
  const signer = async (kind: Kind) => await loadSigningKey(domain, kind, environment.FIREBREAK_KEYS);
  const { addresses } = settings;
  return {
    domain,
    settings,
    environment,
    log,
    clock,
    addresses,
    signer,
    keyFile: (name) => join(environment.FIREBREAK_KEYS, name),
    keys: await loadManifest(environment.FIREBREAK_KEY_MANIFEST, environment.FIREBREAK_ROOTS),
    database: openDatabase(environment.databaseUrl.reveal(), (error) => log.warn({ err: error }, 'database')),
    caller: createCaller({ key: await signer('call'), addresses, clock }),
    writeEntry: createEntryWriter(await signer('entry'), clock),
  };
}

function closeAtSignal(parts: Part[], log: Log): void {
  let closing = false;
  const close = async () => {
    if (closing) return;
    closing = true;
    for (const part of parts.toReversed()) {
      try {
        await part.close();
      } catch (error) {
        log.error({ err: error }, 'a part did not close');
        process.exitCode = 1;
      }
    }
    process.disconnect?.();
  };
  process.on('SIGINT', () => void close());
  process.on('SIGTERM', () => void close());
  // A supervisor that is gone can no longer stop us: stop by ourselves.
  process.on('disconnect', () => void close());
}

/** Listens where FIREBREAK_LISTEN says, else at the address by which others are configured to call this domain. */
export async function listenAt(
  server: FastifyInstance,
  { addresses, domain, environment }: Pick<DomainProcess, 'addresses' | 'domain' | 'environment'>,
): Promise<void> {
  const { hostname, port } = new URL(addresses[domain]);
  // A port that is left out would become any free one, where nobody calls.
  if (environment.FIREBREAK_LISTEN === undefined && port === '') {
    throw new Refusal('CONFIG_INVALID', `expected a port in addresses.${domain}, or FIREBREAK_LISTEN`);
  }
  await server.listen(environment.FIREBREAK_LISTEN ?? { host: hostname, port: Number(port) });
}

const FORGET_PERIOD_MS = 60_000;

/** Forgets proofs and signatures that could not be replayed any more. */
export function sweepSeen(database: DatabasePool, log: Log): Part {
  const forget = () =>
    void forgetExpiredProofs(database).catch((err: unknown) => log.warn({ err }, 'proofs'));
  const forgetting = setInterval(forget, FORGET_PERIOD_MS);
  return { close: async () => clearInterval(forgetting) };
}

/** A worker that ended by itself is a domain that does not work: whoever supervises starts it again. */
export function dieOf(log: Log): (error: unknown) => void {
  return (error) => {
    log.fatal({ err: error }, 'worker ended by itself');
    process.exit(1);
  };
}

/** This domain's halves of the targets' power, read once at start. */
export async function targetKeys(
  own: Pick<DomainProcess, 'keyFile'>,
  targets: Settings['targets'],
): Promise<(target: string) => Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const { name } of targets) found.set(name, await readSymmetricKey(own.keyFile(`target-${name}.key`)));
  return (target) => {
    const key = found.get(target);
    if (key === undefined) throw new Refusal('NOT_PERMITTED', `no power over target ${target} is held here`);
    return key;
  };
}

/** This domain's own login at each target; a target without one is refused when it is asked for. */
export function targetUrls(
  targets: Settings['targets'],
  variables: NodeJS.ProcessEnv,
): (target: string) => string {
  const urls = new Map<string, Secret>();
  for (const { name } of targets) {
    if (hasTargetUrl(name, variables)) urls.set(name, readTargetUrl(name, variables));
  }
  return (target) => {
    const url = urls.get(target);
    if (url === undefined) throw new Refusal('NOT_PERMITTED', `no login at target ${target} is held here`);
    return url.reveal();
  };
}

/** Relative to the settings file. */
export function policyDirectory({
  environment,
  settings,
}: Pick<DomainProcess, 'environment' | 'settings'>): string {
  return resolve(dirname(environment.FIREBREAK_CONFIG), settings.policies.directory);
}
