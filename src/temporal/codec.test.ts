import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter } from '@temporalio/common';
import { expect, test } from 'vitest';
import { createCodec } from './codec.ts';

const codec = createCodec(randomBytes(32));
const own = { type: 'workflow' as const, namespace: 'default', workflowId: 'request/req_1' };
const other = { ...own, workflowId: 'request/req_2' };
const secret = defaultPayloadConverter.toPayload({ note: 'a secret of req_1' });

async function read(payloads: Parameters<typeof codec.decode>[0], context = own) {
  return (await codec.decode(payloads, context)).map((payload) =>
    defaultPayloadConverter.fromPayload(payload),
  );
}

test('what was encrypted for a workflow is read by it, and stands nowhere in plain text', async () => {
  const sealed = await codec.encode([secret], own);
  expect(Buffer.from(sealed[0]?.data ?? []).toString('latin1')).not.toContain('secret');
  expect(await read(sealed)).toEqual([{ note: 'a secret of req_1' }]);
});

test('a payload of another workflow is read as nothing', async () => {
  const sealed = await codec.encode([secret], own);
  expect(await read(sealed, other)).toEqual([undefined]);
});

test('a payload whose owner was rewritten is read as nothing', async () => {
  const [sealed] = await codec.encode([secret], own);
  const [theirs] = await codec.encode([secret], other);
  expect(await read([{ ...sealed, metadata: theirs?.metadata ?? {} }], other)).toEqual([undefined]);
});

test('a plain payload, which anybody with the namespace can write, is read as nothing', async () => {
  expect(await read([secret])).toEqual([undefined]);
});

test('a payload of another key is read as nothing', async () => {
  const sealed = await createCodec(randomBytes(32)).encode([secret], own);
  expect(await read(sealed)).toEqual([undefined]);
});
