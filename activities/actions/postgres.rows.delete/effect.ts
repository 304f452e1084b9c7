import { defineEffect } from '../../../src/action/define.ts';
import { performOnTarget } from '../../postgres/perform.ts';

/** Hands the borrowed credential to the target, which checks it and does everything itself, or nothing. */
export const effect = defineEffect({ action: 'postgres.rows.delete', perform: performOnTarget });
