import { accessSync, constants, statSync } from 'node:fs';
import { type CacheEnvironment, temporalCli, toolPath } from '../../toolchain.mjs';
import { Refusal } from '../refusal.ts';

type CliEnvironment = CacheEnvironment & { TEMPORAL_CLI?: string | undefined };

/** The Temporal CLI that set-up checked or fetched: `TEMPORAL_CLI` where it is set, else the pinned one. */
export function temporalCliPath(environment: CliEnvironment): string {
  const named = environment.TEMPORAL_CLI;
  if (named !== undefined && named !== '') {
    if (named.includes('/') && isExecutable(named)) return named;
    throw new Refusal(
      'SETUP_FAILED',
      `expected TEMPORAL_CLI to be the path of an executable file, not ${named}`,
    );
  }
  const path = toolPath(temporalCli, environment);
  if (isExecutable(path)) return path;
  throw new Refusal('SETUP_FAILED', `no Temporal CLI at ${path}: run npm run setup, or set TEMPORAL_CLI`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
