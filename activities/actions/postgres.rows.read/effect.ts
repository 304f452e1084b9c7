import { defineEffect } from '../../../src/action/define.ts';
import { performOnTarget } from '../../postgres/perform.ts';

/** The target compares the planned rows and answers with them, or with nothing. */
export const effect = defineEffect({ action: 'postgres.rows.read', perform: performOnTarget });
