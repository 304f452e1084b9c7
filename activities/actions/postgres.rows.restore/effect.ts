import { defineEffect } from '../../../src/action/define.ts';
import { performOnTarget } from '../../postgres/perform.ts';

/** The target puts back what it kept, once, or nothing. */
export const effect = defineEffect({ action: 'postgres.rows.restore', perform: performOnTarget });
