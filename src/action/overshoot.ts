import type { PlanBody } from './define.ts';
import type { ActionManifest } from './manifest.ts';

/**
 * What an act could do beyond its plan: by its action, which a root signed, and by what its plan found this time, a
 * trigger for instance. Every place that counts votes asks here, so that none forgets the second part.
 */
export function overshootOf(
  manifest: Pick<ActionManifest, 'overshoot'>,
  plan: Pick<PlanBody, 'overshoot'> | null,
): string[] {
  return [...manifest.overshoot, ...(plan?.overshoot ?? [])];
}
