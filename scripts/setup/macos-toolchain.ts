import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, runStep } from './step.ts';
import { ensureVenv } from './venv.ts';

/** The first with RDMA over Thunderbolt. */
const target = 'aarch64-macos.26.2';
const libraryDeadlineMs = 10 * 60_000;

/**
 * CMake's options for a cross build to macOS on Apple silicon: clang with the headers and stubs of macOS's libSystem and
 * libc++, as the package ziglang carries them. Undefined where it cannot be installed.
 */
export const macosToolchain = (): string[] | undefined => {
  const venv = ensureVenv('macos-venv', 'native/test/macos/requirements.txt');
  if (venv === undefined) return undefined;
  const tools = join(root, '.cache/macos-tools');
  mkdirSync(tools, { recursive: true });
  // Its linker crashes on a bundle; a dynamic library has the same symbols to find or to miss.
  const asLibrary =
    'for word; do shift; [ "$word" = -bundle ] && word=-dynamiclib; set -- "$@" "$word"; done';
  const tool = (name: string, command: string, prelude = ''): string => {
    const file = join(tools, name);
    const cache = join(root, '.cache/macos-zig');
    const lines = [
      '#!/bin/sh',
      `export ZIG_GLOBAL_CACHE_DIR='${cache}' ZIG_LOCAL_CACHE_DIR='${cache}'`,
      prelude,
      `exec '${venv}/bin/python' -m ziglang ${command} "$@"`,
    ];
    writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o755 });
    return file;
  };
  const compiler = tool('c++', `c++ -target ${target}`, asLibrary);
  const program = join(tools, 'nothing.cpp');
  writeFileSync(program, '#include <string>\nint main() { return std::string{}.length(); }\n');
  // The first program makes libc++ and keeps it, which takes longer than CMake's probes may.
  runStep('Compiling a program for macOS', compiler, [program, '-o', join(tools, 'nothing')], {
    deadlineMs: libraryDeadlineMs,
  });
  return [
    '-DCMAKE_SYSTEM_NAME=Darwin',
    '-DCMAKE_SYSTEM_PROCESSOR=arm64',
    `-DCMAKE_CXX_COMPILER=${compiler}`,
    `-DCMAKE_AR=${tool('ar', 'ar')}`,
    `-DCMAKE_RANLIB=${tool('ranlib', 'ranlib')}`,
  ];
};
