import { EspalierError } from '../../base/errors.ts';
import type { Host } from './host.ts';
import { linuxHost } from './linux.ts';
import { macosHost } from './macos.ts';

/** The host we run on. Throws HostUnsupported. */
export const thisHost = (platform: string = process.platform): Host => {
  if (platform === 'linux') return linuxHost();
  if (platform === 'darwin') return macosHost();
  throw new EspalierError(
    'HostUnsupported',
    `a node daemon needs macOS or Linux, this is ${platform}`,
    { platform },
  );
};
