// oxlint-disable no-restricted-imports
import { configureGlobal } from 'fast-check';
import { seed } from './seed.ts';

/** fast-check, which by itself takes its seed from the clock. A failure's report says the seed and the path to it. */
configureGlobal({ seed });

export * from 'fast-check';
