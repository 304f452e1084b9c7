/** The peer's own queue on the server that both share. */
export const BARE_QUEUE = 'bench-bare';
