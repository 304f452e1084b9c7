import { readFileSync, rmSync } from 'node:fs';

/**
 * Named moments at which a process may die, for tests and fault campaigns: between two steps that a reader might
 * take for one. In production nobody hands a file over and a point is nothing.
 */
export const crashPoints = [
  'gateway:stored',
  'gate:consumed',
  'executor:consumed',
  'executor:performed',
  'executor:recorded',
] as const;
export type CrashPoint = (typeof crashPoints)[number];

export type Crash = (point: CrashPoint) => void;

/** @param file when it holds a point's name, that point kills the process, once: the file is gone afterwards. */
export function createCrash(file: string | undefined): Crash {
  if (file === undefined) return () => undefined;
  return (point) => {
    if (readIfThere(file)?.trim() !== point) return;
    rmSync(file);
    process.kill(process.pid, 'SIGKILL');
  };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
