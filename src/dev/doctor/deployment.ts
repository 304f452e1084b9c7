import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { DataDirectory } from '../data-directory.ts';
import { HOST, isFree } from '../ports.ts';
import { DEFAULT_PORT } from '../run-settings.ts';
import type { DataState } from './data.ts';
import { examine, Fault, type Finding } from './finding.ts';

/** What runs on a data directory, or whether something could. */
const ANSWER_TIMEOUT_MS = 10_000;

const readySchema = z.looseObject({ origin: z.string() });
const answerSchema = z.looseObject({ missing: z.array(z.string()) });

export async function examineDeployment(data: DataDirectory, state: DataState): Promise<Finding> {
  if (state.inUse) {
    return await examine('deployment', `look into ${data.log('*')}`, async () => await checkReady(data));
  }
  return await examine('port', 'choose another port with --port', async () => await checkPort(state));
}

/** The domains take other ports where theirs are in use; the origin's is the one that people know. */
async function checkPort({ settings }: DataState): Promise<string> {
  const port = settings === undefined ? DEFAULT_PORT : Number(new URL(settings.deployment.origin).port);
  if (port === 0 || (await isFree(port))) return `${port} on ${HOST} is free`;
  throw new Fault(
    `${port} on ${HOST} is in use`,
    'end that program, or start with firebreak dev --port and another number',
  );
}

async function checkReady(data: DataDirectory): Promise<string> {
  const { origin } = await readReady(data.ready);
  const { missing } = await askReadiness(origin);
  if (missing.length === 0) return `${origin} is ready`;
  const [first = ''] = missing;
  const [part = ''] = first.split(':');
  throw new Fault(`${origin} misses ${missing.join(', ')}`, `look into ${data.log(part)}`);
}

async function readReady(file: string) {
  try {
    return readySchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    const fault = new Fault(
      `${file} is not there: it is still starting, or stopping`,
      'ask again in a moment',
    );
    fault.cause = cause;
    throw fault;
  }
}

async function askReadiness(origin: string) {
  try {
    const response = await fetch(`${origin}/readyz`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    return answerSchema.parse(await response.json());
  } catch (cause) {
    const fault = new Fault(
      `${origin} does not answer`,
      'end it by its pid and start it again: nothing is lost',
    );
    fault.cause = cause;
    throw fault;
  }
}
