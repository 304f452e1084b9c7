import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { workflowBundle } from '../../src/temporal/bundle.ts';
import { createCodec } from '../../src/temporal/codec.ts';
import { REPLAY_CODEC_KEY } from './codec-key.ts';

/**
 * Requests that wait for people today are carried on by the code of tomorrow: what was recorded (`record.ts`) has to
 * replay on it, event by event. A change that does not is caught here, before it wedges somebody's request.
 */
const directory = new URL('histories/', import.meta.url);
const names = readdirSync(directory).filter((name) => name.endsWith('.json'));

const recordedSchema = z.object({ workflowId: z.string(), history: z.unknown() });
type Recorded = z.infer<typeof recordedSchema>;

let code: string;
beforeAll(async () => {
  // A violation is an error that a test asserts, and a warning that nobody has to read.
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: 'OFF', forward: {} } },
  });
  code = await codeOf(await workflowBundle(fileURLToPath(new URL('../../workflows/', import.meta.url))));
});

describe.each(names)('%s', (name) => {
  test('replays on today’s code', async () => {
    expect(await replay(read(name), code)).toBeUndefined();
  });

  test('does not replay where a step has another name', async () => {
    const other = edited(read(name), (text) => text.replace('"name": "plan"', '"name": "probe"'));
    expect(await replay(other, code)).toBeInstanceOf(DeterminismViolationError);
  });
});

test('a history replays only with its own key', async () => {
  const stranger = createCodec(Buffer.alloc(REPLAY_CODEC_KEY.length));
  expect(await replay(read('approved.json'), code, stranger)).toBeInstanceOf(DeterminismViolationError);
});

test.each([
  [
    'plans again before it asks',
    /const decided = await /,
    'await planner.plan(reference); const decided = await ',
  ],
  [
    'asks the gate before the attempt',
    /const code = await codeOf\(/,
    'await steps.settle(reference); const code = await codeOf(',
  ],
  ['does not wait for people', /await [^;]*bell\.heard\(\)[^;]*;/, ''],
])('code that %s is caught', async (_what, found, instead) => {
  const changed = code.replace(found, instead);
  expect(changed).not.toBe(code);
  expect(await replay(read('approved.json'), changed)).toBeInstanceOf(DeterminismViolationError);
});

function read(name: string): Recorded {
  return recordedSchema.parse(JSON.parse(readFileSync(new URL(name, directory), 'utf8')));
}

function edited(recorded: Recorded, edit: (text: string) => string): Recorded {
  const before = JSON.stringify(recorded, undefined, 1);
  const after = edit(before);
  if (after === before) throw new Error('expected an edit that changes something');
  return recordedSchema.parse(JSON.parse(after));
}

/** @returns what today's code has against it. */
async function replay(
  { workflowId, history }: Recorded,
  bundle: string,
  codec = createCodec(REPLAY_CODEC_KEY),
): Promise<Error | undefined> {
  const failureConverterPath = fileURLToPath(
    new URL('../../src/temporal/failure-converter.ts', import.meta.url),
  );
  const options = {
    workflowBundle: { code: bundle },
    dataConverter: { payloadCodecs: [codec], failureConverterPath },
  };
  const histories = [{ workflowId, history: historyFromJSON(history) }];
  for await (const { error } of Worker.runReplayHistories(options, histories)) return error;
  throw new Error('expected one history to be replayed');
}

async function codeOf(bundle: Awaited<ReturnType<typeof workflowBundle>>): Promise<string> {
  return 'code' in bundle ? bundle.code : await readFile(bundle.codePath, 'utf8');
}
