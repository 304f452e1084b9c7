import type { EffectClass } from '../action/define.ts';

/**
 * R4: how many votes an effect class needs at the very least. It stands in code, so that no policy, no row and no
 * setting lowers it; policy may raise it.
 */
export type Floor = {
  /** Votes that may be relayed, a Slack click for instance; a personal one counts here too. */
  relayed: number;
  /** Votes that must be the person's own signature. */
  personal: number;
};

const floors: Record<EffectClass, Floor> = {
  read: { relayed: 0, personal: 0 },
  reversible: { relayed: 1, personal: 0 },
  irreversible: { relayed: 0, personal: 1 },
  export: { relayed: 0, personal: 1 },
  privilege: { relayed: 0, personal: 2 },
  'cross-tenant': { relayed: 0, personal: 2 },
};

/** @param overshootCount how many things the borrowed credential could do beyond the digest. */
export function floorOf(effectClass: EffectClass, overshootCount: number): Floor {
  const floor = floors[effectClass];
  if (overshootCount === 0) return floor;
  // One more pair of eyes for what cannot be bounded, of the kind that the class needs anyway.
  return floor.personal > 0
    ? { ...floor, personal: floor.personal + 1 }
    : { ...floor, relayed: floor.relayed + 1 };
}

/** All votes together: what a quorum of policy is held against. */
export function floorTotal({ relayed, personal }: Floor): number {
  return relayed + personal;
}
