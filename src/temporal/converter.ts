import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { createCodec } from './codec.ts';

/** Reads a key of 32 bytes, base64url text in a file of mode 0600. */
export async function readSymmetricKey(file: string): Promise<Uint8Array> {
  return new Uint8Array(Buffer.from((await readFile(file, 'utf8')).trim(), 'base64url'));
}

export async function createDataConverter(codecKeyFile: string): Promise<DataConverter> {
  return {
    payloadCodecs: [createCodec(await readSymmetricKey(codecKeyFile))],
    failureConverterPath: fileURLToPath(new URL('./failure-converter.ts', import.meta.url)),
  };
}
