import { z } from 'zod';
import { canonicalDigest, canonicalText, sha256Base64url } from '../canonical.ts';

/**
 * The content of a request, immutable once accepted. Its RFC 8785 text is stored as it is hashed, so that every
 * reader recomputes the digest from the very same bytes.
 */
export const requestContentSchema = z.strictObject({
  requestId: z.string(),
  revision: z.int().min(1),
  session: z.string(),
  sub: z.string(),
  act: z.strictObject({ sub: z.string() }).nullable(),
  action: z.string(),
  schemaVersion: z.int().min(1),
  input: z.json(),
  tenant: z.string(),
  environment: z.string(),
  resource: z.string(),
});
export type RequestContent = z.infer<typeof requestContentSchema>;

/** Covers what was asked: context token and entries before the plan carry it. */
export function requestDigestOf(content: RequestContent): string {
  return sha256Base64url(canonicalText(content));
}

/** Covers what was asked and what would change: shown = voted = minted = consumed = performed. */
export function digestOf(content: RequestContent, planHash: string): string {
  return canonicalDigest({ ...content, planHash });
}

/** Reads the stored text again; throws when it is not the canonical text that it should be. */
export function parseContent(text: string): RequestContent {
  const content = requestContentSchema.parse(JSON.parse(text));
  if (canonicalText(content) !== text) throw new TypeError('expected the RFC 8785 text of a request');
  return content;
}

/** The configured target that a resource lies in: `shop` of `shop/public.orders`. */
export function targetNameOf({ resource }: Pick<RequestContent, 'resource'>): string {
  return resource.split('/', 1)[0] ?? resource;
}
