import { createHash } from 'node:crypto';

/** Anybody may know it: it hides nothing but what the recorded histories hold, which is made up. */
export const REPLAY_CODEC_KEY = createHash('sha256').update('firebreak: recorded histories').digest();
