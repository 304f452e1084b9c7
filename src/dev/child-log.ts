import { createWriteStream, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';

/**
 * The lines of one child: all of them in a file, what a person should know also as one short line. Lines are the
 * child's own words; what must not be in a log, the child keeps out (S12).
 */
export type ChildLog = {
  hear: (line: string) => void;
  /** The last thing that it said, in short: why it ended, most often. */
  lastWords: () => string;
  close: () => Promise<void>;
};

type ChildLogOptions = {
  name: string;
  file: string;
  say: (line: string) => void;
  /** Which lines that are not ours a person should see; PostgreSQL and Temporal have formats of their own. */
  worthSaying: RegExp;
};

/** What stands in the file at a start is kept once more under `.old`, so that logs have an end. */
const FILE_BYTES_MAX = 16 * 1_024 * 1_024;
const WARN = 40;
const LINE_MAX = 300;

const pinoLine = z.object({
  level: z.int(),
  msg: z.string().default(''),
  err: z.object({ message: z.string() }).optional(),
});

export function openChildLog({ name, file, say, worthSaying }: ChildLogOptions): ChildLog {
  const stream = openFile(file);
  let last = `see ${file}`;
  return {
    hear(line) {
      stream.write(`${line}\n`);
      const { level, text } = readLine(line);
      if (text === '') return;
      if (level === undefined ? worthSaying.test(text) : level >= WARN) {
        // Node ends with its version; what went wrong stands lines before.
        if (level !== undefined || /error|fatal/i.test(text)) last = text;
        say(`${name}: ${text}`);
      }
    },
    lastWords: () => last,
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      stream.end(resolve);
      await promise;
    },
  };
}

function openFile(file: string): WriteStream {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > FILE_BYTES_MAX) renameSync(file, `${file}.old`);
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 });
  // A full disk must not end the processes whose lines these are.
  stream.on('error', () => undefined);
  return stream;
}

function readLine(line: string): { level: number | undefined; text: string } {
  const parsed = pinoLine.safeParse(jsonOf(line));
  if (!parsed.success) return { level: undefined, text: shorten(line) };
  const { level, msg, err } = parsed.data;
  return { level, text: shorten(err === undefined || err.message === msg ? msg : `${msg}: ${err.message}`) };
}

function jsonOf(line: string): unknown {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function shorten(text: string): string {
  // One line a message, and none that moves the reader's cursor.
  const flat = text.replaceAll(/\p{Cc}+/gu, ' ').trim();
  return flat.length > LINE_MAX ? `${flat.slice(0, LINE_MAX)} …` : flat;
}
