import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { readSymmetricKey } from '../identity/symmetric-key.ts';
import { createCodec } from './codec.ts';

export async function createDataConverter(codecKeyFile: string): Promise<DataConverter> {
  return {
    payloadCodecs: [createCodec(await readSymmetricKey(codecKeyFile))],
    failureConverterPath: fileURLToPath(new URL('./failure-converter.ts', import.meta.url)),
  };
}
