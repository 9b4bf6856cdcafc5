import type { EngineFacts } from '../catalogue/facts.ts';
import { gpuShare, reserveBytesOf } from './capacity.ts';
import type { Placeable } from './search/placeable.ts';
import type { MemoryBreakdown } from './types.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/**
 * What `sudo sysctl iogpu.wired_limit_mb` must be set to on this node so that the GPU keeps this rank's weights
 * and caches wired: all but the reserve. Undefined where the rank takes no more than 80 % of the machine's
 * default, or where that is not known. Without it macOS unwires weights between tokens, which cost the DBRX
 * study more than its network (arXiv 2506.23635).
 */
export const wiredLimitMiB = (
  { node, seat }: Placeable,
  { totalBytes }: MemoryBreakdown,
  { runsOn }: EngineFacts,
): number | undefined => {
  const shares = seat.machine?.wiredShare;
  if (runsOn !== 'AppleGPU' || !shares) return undefined;
  const share = node.memoryBytes > 32 * GiB ? shares.above32GiB : shares.upTo32GiB;
  if (totalBytes <= gpuShare * share * node.memoryBytes) return undefined;
  return Math.floor((node.memoryBytes - reserveBytesOf(node)) / MiB);
};
