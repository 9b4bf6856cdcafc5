/** Where all that tests draw at random starts: the same on each run, so that none fails by chance. SEED=n tries others. */
export const seed = Number(process.env['SEED'] ?? 20_261_123);
