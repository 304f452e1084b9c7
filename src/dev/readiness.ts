import { z } from 'zod';
import { domains } from '../domains.ts';
import type { Settings } from '../settings.ts';

/** Which parts are down now: processes that do not run, and what each domain says that it misses. */
const ANSWER_TIMEOUT_MS = 3_000;

const own = new Set<string>(['gateway', 'people']);
const answerSchema = z.object({ missing: z.array(z.string()).default([]) });

type Parts = ReadonlyMap<string, { pid: number | undefined }>;

export async function missingParts(parts: Parts, addresses: Settings['addresses']): Promise<string[]> {
  const asked = domains.map(async (domain) => await missingOf(domain, addresses[domain]));
  const stopped = [...parts].filter(([, { pid }]) => pid === undefined).map(([name]) => name);
  const said = await Promise.all(asked);
  return [...new Set([...stopped, ...said.flat()])].toSorted();
}

async function missingOf(domain: string, address: string): Promise<string[]> {
  const path = own.has(domain) ? '/readyz' : '/healthz';
  try {
    const response = await fetch(`${address}${path}`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    const { missing } = answerSchema.parse(await response.json());
    if (response.ok) return [];
    return missing.length === 0 ? [domain] : missing.map((part) => `${domain}: ${part}`);
  } catch {
    return [domain];
  }
}
