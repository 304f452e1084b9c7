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

/**
 * What we did not encrypt for this very workflow is read as nothing at all: whoever may write to the namespace can put
 * payloads there, and an exception here would make one forged payload hold up its workflow for ever.
 */
function decrypt(payload: Payload, context: SerializationContext | undefined, key: Uint8Array): Payload {
  const owner = text.decode(payload.metadata?.['owner'] ?? undefined);
  const isForeign = context?.workflowId !== undefined && owner !== ownerOf(context);
  if (text.decode(payload.metadata?.['encoding'] ?? undefined) !== ENCODING || isForeign) return nothing();
  const plain = open(Buffer.from(payload.data ?? new Uint8Array()), owner, key);
  return plain === undefined ? nothing() : proto.temporal.api.common.v1.Payload.decode(plain);
}

function open(data: Buffer, owner: string, key: Uint8Array): Uint8Array | undefined {
  if (data.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, NONCE_BYTES))
    .setAAD(bytes.encode(owner))
    .setAuthTag(data.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(data.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    // The one thing that fails here is the tag: another key, owner or text.
    return undefined;
  }
}

/** Temporal's own encoding of `undefined`. */
function nothing(): Payload {
  return { metadata: { encoding: bytes.encode('binary/null') }, data: new Uint8Array() };
}

function ownerOf(context: SerializationContext | undefined): string {
  return `${context?.namespace ?? ''}\n${context?.workflowId ?? ''}`;
}
