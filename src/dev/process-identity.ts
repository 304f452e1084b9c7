import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a pid stands for now. Pids are used again; the start time makes one a name. */
type ProcessIdentity = {
  /** The moment it started; compared, never read. */
  started: string;
  /** Program and arguments, parted by blanks. */
  commandLine: string;
};

/** @returns undefined where no process lives under the pid; a zombie has ended and does not live. */
export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
  return process.platform === 'linux' ? await identityByProc(pid) : await identityByPs(pid);
}

async function identityByProc(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // proc(5): `pid (program) state ppid …`; a program's name may itself hold brackets and blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  // Field 22 of the line: ticks since the boot, hence the boot beside it.
  const ticks = fields[19];
  if (state === 'Z' || state === 'X' || ticks === undefined) return undefined;
  const boot = (await readIfThere('/proc/sys/kernel/random/boot_id')) ?? '';
  const commandLine = (await readIfThere(`/proc/${pid}/cmdline`)) ?? '';
  return { started: `${boot.trim()} ${ticks}`, commandLine: commandLine.replaceAll('\0', ' ').trim() };
}

async function identityByPs(pid: number): Promise<ProcessIdentity | undefined> {
  let line: string;
  try {
    const arguments_ = ['-ww', '-o', 'stat=,lstart=,args=', '-p', `${pid}`];
    ({ stdout: line } = await run('/bin/ps', arguments_, { env: { LC_ALL: 'C', TZ: 'UTC' } }));
  } catch {
    // ps ends with 1 where there is no such process.
    return undefined;
  }
  // `Ss   Tue Nov 24 10:36:00 2026     /path/to/program argument`
  const parts = /^\s*(\S+)\s+(\w+\s+\w+\s+\d+\s+[\d:]+\s+\d+)\s+(.*\S)/.exec(line);
  const [, state, started, commandLine] = parts ?? [];
  if (state === undefined || started === undefined || commandLine === undefined) return undefined;
  return state.startsWith('Z') ? undefined : { started, commandLine };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return undefined;
  }
}
