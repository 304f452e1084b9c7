/** Plain statistics of samples; nothing is left out, and nothing is smoothed. */
export type Comparison = {
  value: number;
  baseline: number;
  ratio: number;
  /** The lowest and the highest ratio of any block. */
  low: number;
  high: number;
  n: number;
};

export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1));
  return sorted[index] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5);
}

/** Medians over all blocks, and how far the ratio moved from block to block: the honest error bar of a busy machine. */
export function compare(own: readonly number[][], peer: readonly number[][]): Comparison {
  const ratios = own.map((block, index) => median(block) / median(peer[index] ?? []));
  const value = median(own.flat());
  const baseline = median(peer.flat());
  return {
    value,
    baseline,
    ratio: value / baseline,
    low: Math.min(...ratios),
    high: Math.max(...ratios),
    n: own.flat().length,
  };
}
