/** Set by bin/kubectl-espalier.mjs, which kubectl runs for `kubectl espalier`. */
export const isKubectlPlugin = process.env['ESPALIER_INVOKED_AS'] === 'kubectl espalier';

/** How the user calls this program, for commands that are printed to be copied. */
export const programName = isKubectlPlugin ? 'kubectl espalier' : 'espalier';
