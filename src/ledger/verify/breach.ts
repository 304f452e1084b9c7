/**
 * What a ledger promises, as the design numbers it. `entry` is the form, the author and the signature of one entry,
 * without which nothing that it says counts.
 */
export type Invariant = 'entry' | 'S1' | 'S2' | 'S3' | 'S4' | 'S5' | 'S6' | 'S7' | 'S9' | 'S10';

/** The first thing in a log that must not be. */
export type Breach = {
  invariant: Invariant;
  /** Where it shows; null where nothing of the log stands. */
  leafIndex: number | null;
  requestId: string | null;
  sentence: string;
};
