import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type Payload, type PayloadCodec, type SerializationContext, ValueError } from '@temporalio/common';
import proto from '@temporalio/proto';

/**
 * AES-256-GCM over every payload. Namespace and workflow id are the additional data, so that a payload cannot be
 * moved into another workflow; they also stand in the metadata, because codec servers get no context.
 */
const ENCODING = 'binary/firebreak-aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

const text = new TextDecoder();
const bytes = new TextEncoder();

export function createCodec(key: Uint8Array): PayloadCodec {
  if (key.length !== KEY_BYTES) throw new ValueError(`expected a codec key of ${KEY_BYTES} bytes`);
  return {
    encode: async (payloads, context) => payloads.map((payload) => encrypt(payload, ownerOf(context), key)),
    decode: async (payloads, context) => payloads.map((payload) => decrypt(payload, context, key)),
  };
}

function encrypt(payload: Payload, owner: string, key: Uint8Array): Payload {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(bytes.encode(owner));
  const plain = proto.temporal.api.common.v1.Payload.encode(payload).finish();
  const data = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return { metadata: { encoding: bytes.encode(ENCODING), owner: bytes.encode(owner) }, data };
}

function decrypt(payload: Payload, context: SerializationContext | undefined, key: Uint8Array): Payload {
  // Whoever may write to the namespace can put plain payloads there: only what we encrypted is read.
  if (text.decode(payload.metadata?.['encoding'] ?? undefined) !== ENCODING) {
    throw new ValueError('expected an encrypted payload');
  }
  const owner = text.decode(payload.metadata?.['owner'] ?? undefined);
  if (context?.workflowId !== undefined && owner !== ownerOf(context)) {
    throw new ValueError('payload belongs to another workflow');
  }
  const data = Buffer.from(payload.data ?? new Uint8Array());
  const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, NONCE_BYTES))
    .setAAD(bytes.encode(owner))
    .setAuthTag(data.subarray(-TAG_BYTES));
  const plain = Buffer.concat([decipher.update(data.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  return proto.temporal.api.common.v1.Payload.decode(plain);
}

function ownerOf(context: SerializationContext | undefined): string {
  return `${context?.namespace ?? ''}\n${context?.workflowId ?? ''}`;
}
