/**
 * All that the native transport is tested with beyond `npm test`: its suite with the heavy cases, under the address,
 * undefined and thread sanitizers, the fuzzers, a part of it compiled for 64-bit ARM and run by an emulator, all native code
 * compiled and linked for macOS, and verbs in a guest with software RDMA. Stops at the first step that fails.
 *   npm run test:transport                       everything
 *   npm run test:transport -- --only asan,fuzz   only these steps
 * Installs what is missing when it may. What cannot run here is said at the end, and is a failure with CI=true.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { arch, availableParallelism, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensure, succeeds } from './setup/apt.ts';
import { macosToolchain } from './setup/macos-toolchain.ts';
import { root, runStep } from './setup/step.ts';
import { giveUp, runSteps } from './setup/steps.ts';

const minuteMs = 60_000;
const fuzzSeconds = 8;
const fuzzTargets = ['frames', 'handshake', 'liveness', 'negotiation', 'data'];
/** What test/rdma/run.sh says with when the machine cannot run a guest. */
const exitCannotRun = 77;

const build = (title: string, folder: string, target: string, options: string[]): void => {
  runStep(`Configuring ${title}`, 'cmake', ['-S', 'native', '-B', folder, ...options], {
    deadlineMs: 2 * minuteMs,
  });
  const jobs = String(availableParallelism());
  runStep(`Building ${title}`, 'cmake', ['--build', folder, '-j', jobs, '--target', target], {
    deadlineMs: 15 * minuteMs,
  });
};

const testProgram = (folder: string): string =>
  `${root}/${folder}/test/transport/espalier_transport_test`;

const hasNamespaceTools = (): boolean => succeeds('ip', ['-V']);

const suite = (): void => {
  if (!ensure(hasNamespaceTools, ['iproute2'])) {
    giveUp('cases with network namespaces', 'ip is missing, and only root can install it');
  }
  runStep('Native transport suite', testProgram('native/build'), [], {
    env: { ESPALIER_TEST_ALL: '1' },
    deadlineMs: 6 * minuteMs,
  });
};

const sanitize = (sanitizer: 'address' | 'thread', folder: string): void => {
  const title = sanitizer === 'address' ? 'Address and undefined sanitizers' : 'Thread sanitizer';
  build(title, folder, 'espalier_transport_test', [`-DESPALIER_SANITIZE=${sanitizer}`]);
  runStep(title, testProgram(folder), [], {
    env: {
      ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1',
      UBSAN_OPTIONS: 'print_stacktrace=1',
      TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
    },
    deadlineMs: 6 * minuteMs,
  });
};

const fuzz = (): void => {
  const probe =
    'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }';
  const flags = ['-x', 'c++', '-fsanitize=fuzzer,address', '-o', '/dev/null', '-'];
  const compiler = ['clang++', 'clang++-14'].find((name) =>
    ensure(() => succeeds(name, flags, probe), ['clang', 'libclang-rt-14-dev']),
  );
  if (compiler === undefined) {
    return giveUp('fuzzers', 'clang with libFuzzer is missing, and only root can install it');
  }
  const folder = 'native/build-fuzz';
  build('fuzzers', folder, 'espalier_fuzz', [
    `-DCMAKE_CXX_COMPILER=${compiler}`,
    '-DESPALIER_FUZZ=ON',
  ]);
  for (const target of fuzzTargets) {
    const found = mkdtempSync(join(tmpdir(), 'espalier-fuzz-'));
    const limits = ['-seed=1', `-max_total_time=${fuzzSeconds}`, '-timeout=20', '-verbosity=0'];
    // What breaks it goes where .gitignore covers it, so that it can be looked at.
    const program = `${root}/${folder}/test/fuzz/espalier_fuzz_${target}`;
    const artifacts = `-artifact_prefix=${root}/${folder}/${target}-`;
    runStep(
      `Fuzzing ${target}`,
      program,
      [...limits, artifacts, found, `native/test/fuzz/corpus/${target}`],
      { deadlineMs: minuteMs + 2_000 * fuzzSeconds },
    );
    rmSync(found, { recursive: true });
  }
};

/** One of each kind that an emulated processor gets through in seconds: bits, rendezvous, both links, a death. */
const arm64Cases = [
  'every kernel',
  'not a number',
  'fp16',
  'tree of any width',
  'SHA-256',
  'become messages',
  'a rendezvous',
  'a wrong',
  'over shm between processes',
  'over tcp between processes',
  'at work, shm',
  'at work, tcp',
];

const arm64 = (): void => {
  if (arch() === 'arm64') return; // the suite itself has run there
  const compiler = 'aarch64-linux-gnu-g++';
  const emulator = 'qemu-aarch64-static';
  const works = (): boolean =>
    succeeds(compiler, ['--version']) && succeeds(emulator, ['--version']);
  const packages = ['g++-aarch64-linux-gnu', 'qemu-user-static'];
  if (platform() !== 'linux' || !ensure(works, packages)) {
    const why = `${compiler} or ${emulator} is missing, and only root on a Debian can install them`;
    return giveUp('64-bit ARM', why);
  }
  const folder = 'native/build-arm64';
  build('for 64-bit ARM', folder, 'espalier_transport_test', [
    '-DCMAKE_SYSTEM_NAME=Linux',
    '-DCMAKE_SYSTEM_PROCESSOR=aarch64',
    `-DCMAKE_CXX_COMPILER=${compiler}`,
  ]);
  const libraries = ['-L', '/usr/aarch64-linux-gnu'];
  runStep(
    '64-bit ARM under emulation',
    emulator,
    [...libraries, testProgram(folder), ...arm64Cases],
    {
      env: { ESPALIER_EMULATED: '1' },
      deadlineMs: 4 * minuteMs,
    },
  );
};

/** Compiled and linked only: there is nothing here that runs it. */
const macos = (): void => {
  if (platform() === 'darwin') return;
  const options = macosToolchain();
  if (!options) return giveUp('the build for macOS', 'python3 with venv is missing');
  build('for macOS', 'native/build-macos', 'all', options);
};

const guest = (): void => {
  const script = 'test/rdma/run.sh';
  if (!existsSync(join(root, script))) return giveUp('verbs in a guest', `${script} is not there`);
  const code = runStep('Verbs in a guest with software RDMA', 'bash', [script, 'suite'], {
    deadlineMs: 10 * minuteMs,
    alsoFine: [exitCannotRun],
  });
  if (code === exitCannotRun) giveUp('verbs in a guest', 'this machine cannot run it, see above');
};

runSteps(
  { title: 'Transport', script: 'test:transport' },
  {
    suite,
    asan: () => sanitize('address', 'native/build-asan'),
    tsan: () => sanitize('thread', 'native/build-tsan'),
    fuzz,
    arm64,
    macos,
    guest,
  },
);
