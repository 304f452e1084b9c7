export type CacheEnvironment = { XDG_CACHE_HOME?: string | undefined; HOME?: string | undefined };

export type Tool = { wheel: string; version: string; executable: string; sha256: Record<string, string> };

export const NODE_MAJOR_MIN: number;
export const temporalCli: Tool & { serverVersion: string };
export const temporalTestServer: Tool;
export function pinnedHash(tool: Tool): string | undefined;
export function toolDirectory(tool: Tool, environment: CacheEnvironment): string;
export function toolPath(tool: Tool, environment: CacheEnvironment): string;
export function cacheDirectory(environment: CacheEnvironment): string;
