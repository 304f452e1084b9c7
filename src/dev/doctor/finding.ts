/** What one look found, and what to do where it is a fault. */
export type Finding = { check: string; ok: boolean; found: string; todo?: string };

/** A fault that a look found; its message says what, and `todo` how to mend it. */
export class Fault extends Error {
  readonly todo: string;
  constructor(found: string, todo: string) {
    super(found);
    this.todo = todo;
  }
}

/**
 * One look: its sentence, or the fault that it throws. Our refusals say what to do in their own words; `todo` is for
 * those that do not.
 */
export async function examine(check: string, todo: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return { check, ok: true, found: await look() };
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    return { check, ok: false, found, todo: error instanceof Fault ? error.todo : todo };
  }
}

/** What is made at the first start, and is no fault before. */
export const NOT_MADE = 'not made yet: firebreak dev makes it';
