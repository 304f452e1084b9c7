import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

/** One measured line of `bench/results.json`; `baseline` and `ratio` are null where there is no peer. */
export type Result = {
  name: string;
  unit: string;
  value: number;
  baseline: number | null;
  ratio: number | null;
  low: number | null;
  high: number | null;
  n: number;
  /** What was measured and against what, one sentence. */
  note: string;
};

const FILE = fileURLToPath(new URL('results.json', import.meta.url));
const DIGITS = 3;

export async function writeResults(results: readonly Result[]): Promise<void> {
  const report = { machine: machineOf(), commit: commitOf(), results: results.map(rounded) };
  await writeFile(FILE, `${JSON.stringify(report, undefined, 2)}\n`);
}

/** The load says how much the absolute numbers are worth: ratios of arms in turn survive a busy machine better. */
function machineOf(): Record<string, string | number> {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    loadAverage1m: round(loadavg()[0] ?? 0),
    at: new Date().toISOString(),
  };
}

function commitOf(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

function rounded(result: Result): Result {
  const { value, baseline, ratio, low, high } = result;
  return {
    ...result,
    value: round(value),
    baseline: baseline === null ? null : round(baseline),
    ratio: ratio === null ? null : round(ratio),
    low: low === null ? null : round(low),
    high: high === null ? null : round(high),
  };
}

function round(value: number): number {
  return Number(value.toFixed(DIGITS));
}

/** Cells of one width a column, numbers to the right. */
export function tableText(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

export function resultsText(results: readonly Result[]): string {
  const number = (value: number | null) => (value === null ? '' : value.toFixed(2));
  const rows = results.map(({ name, value, unit, baseline, ratio, low, high, n }) => [
    name,
    number(value),
    unit,
    number(baseline),
    number(ratio),
    low === null || high === null ? '' : `${low.toFixed(2)}-${high.toFixed(2)}`,
    `${n}`,
  ]);
  return tableText(['name', 'value', 'unit', 'baseline', 'ratio', 'blocks', 'n'], rows);
}
