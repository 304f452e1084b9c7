import { DefaultFailureConverter } from '@temporalio/common';

/** Messages and stacks of failures go through the codec too; alone, it leaves them as plain text in histories. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
