import { z } from 'zod';

/**
 * The story of one request in one file, for a reader who has nothing of ours but the hash of the offline roots: its
 * entries as their authors signed them, a proof for each that it stands in the log, the checkpoint that the proofs
 * lead to, and the key manifest. What a file cannot show is that no entry was left out: the whole log shows that.
 */
export const EVIDENCE_FORMAT = 'firebreak-evidence';

const index = z.int().min(0);

const entrySchema = z.strictObject({
  leafIndex: index,
  /** The leaf's data. */
  entry: z.string(),
  /** From the leaf's sibling up (RFC 6962 2.1.1), base64. */
  proof: z.array(z.string()).max(64),
});

export const evidenceSchema = z.strictObject({
  format: z.literal(EVIDENCE_FORMAT),
  version: z.literal(1),
  requestId: z.string(),
  /** C2SP signed note. */
  checkpoint: z.string(),
  /** The key manifest's text. Its signatures count only below roots that the reader pins for himself. */
  keyManifest: z.string(),
  /** In the order of the log: the request's own, and those of its session. */
  entries: z.array(entrySchema).min(1),
  /** Each vote as it was signed, and the entry that records it. */
  votes: z.array(z.strictObject({ leafIndex: index, statement: z.string() })),
});
export type Evidence = z.infer<typeof evidenceSchema>;
