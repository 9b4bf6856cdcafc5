import { runCommand } from '../../engines/process.ts';
import type { HostFacts } from '../../nodedoc/types.ts';
import { runDirectoryVariable } from './host.ts';
import type { Host, LiveProcess, ProcessTable } from './host.ts';

/** macOS: facts from sysctl, sw_vers and ioreg; processes from ps. No root needed. */
export const macosHost = (): Host => ({
  facts: async () =>
    parseMacosFacts({
      sysctl: await runCommand('/usr/sbin/sysctl', sysctlNames),
      swVers: await runCommand('/usr/bin/sw_vers', []),
      ioreg: await runCommand('/usr/sbin/ioreg', ['-rd1', '-c', 'IOPlatformExpertDevice']),
    }),
  bootId: async () => (await runCommand('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'])).trim(),
  processes: macosProcesses,
});

const sysctlNames = ['hw.model', 'hw.memsize', 'hw.ncpu', 'machdep.cpu.brand_string'];

/** Facts from the texts of `sysctl NAME…`, `sw_vers` and `ioreg -rd1 -c IOPlatformExpertDevice`. */
export const parseMacosFacts = (texts: {
  sysctl: string;
  swVers: string;
  ioreg: string;
}): HostFacts => {
  const sysctl = (name: string) => field(texts.sysctl, new RegExp(`^${name}: (.*)$`, 'm'), name);
  const swVers = (name: string) => field(texts.swVers, new RegExp(`^${name}:\\s+(.*)$`, 'm'), name);
  return {
    hostID: field(texts.ioreg, /"IOPlatformUUID" = "([^"]+)"/, 'IOPlatformUUID'),
    model: sysctl('hw.model'),
    chip: sysctl('machdep.cpu.brand_string').replace(/^Apple /, ''),
    osVersion: swVers('ProductVersion'),
    osBuild: swVers('BuildVersion'),
    cpuCount: Number(sysctl('hw.ncpu')),
    memoryBytes: Number(sysctl('hw.memsize')),
    // Until node identity exists a node can only be reached over loopback.
    address: '127.0.0.1',
  };
};

const field = (text: string, pattern: RegExp, name: string): string => {
  const value = pattern.exec(text)?.[1]?.trim();
  if (!value) throw new Error(`expected ${name} in: ${text.slice(0, 200)}`);
  return value;
};

const processColumns = 'pid=,pgid=,state=,lstart=';

const macosProcesses: ProcessTable = {
  find: async (pid) => {
    const [live] = parseProcesses(await ps(['-p', String(pid), '-o', processColumns]));
    return live;
  },
  // The pid was checked against its start time when we started or adopted it; between two looks,
  // a fraction of a second apart, it is not given to another process.
  isAlive: async (pid) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  },
  residentBytes: async (pid) => {
    const kibibytes = Number((await ps(['-p', String(pid), '-o', 'rss='])).trim());
    return kibibytes > 0 ? kibibytes * 1024 : undefined;
  },
  list: async () => {
    const environments = parseEnvironments(await ps(['-axEww', '-o', 'pid=,command=']));
    return parseProcesses(await ps(['-ax', '-o', processColumns])).map((live) => {
      const runDirectory = environments.get(live.pid);
      return runDirectory === undefined ? live : { ...live, runDirectory };
    });
  },
};

/** `ps` ends with 1 and says nothing when no process matches. */
const ps = async (args: string[]): Promise<string> =>
  runCommand('/bin/ps', args).catch((error: { exitCode?: number }) => {
    if (error.exitCode === 1) return '';
    throw error;
  });

/** Lines of `ps -o pid=,pgid=,state=,lstart=`; zombies are left out. */
export const parseProcesses = (text: string): LiveProcess[] =>
  text.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line);
    if (!match || match[3]?.startsWith('Z')) return [];
    return [{ pid: Number(match[1]), groupId: Number(match[2]), startTime: match[4] ?? '' }];
  });

/** Run directories by pid, from lines of `ps -E -o pid=,command=`: the environment follows the command. */
export const parseEnvironments = (text: string): Map<number, string> => {
  // A path may hold spaces: it ends before the next NAME= or at the end of the line.
  const pattern = new RegExp(
    `^\\s*(\\d+) .*? ${runDirectoryVariable}=(.*?)(?: [A-Za-z_]\\w*=.*)?$`,
  );
  return new Map(
    text.split('\n').flatMap((line) => {
      const match = pattern.exec(line);
      return match?.[2] === undefined ? [] : [[Number(match[1]), match[2]] as const];
    }),
  );
};
