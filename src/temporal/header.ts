/** The Temporal header that carries the sealed context token. */
export const CONTEXT_HEADER = 'firebreak-context';
