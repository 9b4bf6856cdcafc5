/** Checkpoints differ in what stands before "layers.0": "model.", "language_model.model.", nothing. */
export const bareName = (name: string): string => name.replace(/^(language_model\.|model\.)+/, '');

/**
 * Whether a module is named by one of a quantiser's patterns: a name or part of one ("lm_head", "gate"), a glob
 * ("model.layers.*.self_attn"), or "re:" and a regular expression.
 */
export const namedBy = (patterns: readonly unknown[]): ((name: string) => boolean) => {
  const tests = patterns.flatMap((pattern) => {
    const test = typeof pattern === 'string' ? testOf(pattern) : undefined;
    return test ? [test] : [];
  });
  return (name) => {
    const spelled = `model.${bareName(name)}`;
    return tests.some((test) => test(spelled));
  };
};

const testOf = (pattern: string): ((name: string) => boolean) | undefined => {
  if (pattern.startsWith('re:')) {
    const expression = pattern.slice(3);
    return isHarmless(expression) ? matches(expression) : undefined;
  }
  const dotted = bareName(pattern).replaceAll(/[$()+.?[\\\]^{|}]/g, String.raw`\$&`);
  return matches(String.raw`(^|\.)${dotted.replaceAll(/\*+/g, '.*')}(\.|$)`);
};

const matches = (expression: string): ((name: string) => boolean) | undefined => {
  try {
    const compiled = new RegExp(expression);
    return (name) => compiled.test(name);
  } catch {
    return undefined;
  }
};

/** Config files come from strangers: nothing that could take long, such as repeated groups. */
const isHarmless = (expression: string): boolean =>
  expression.length <= 200 &&
  !/[)\]}][*+?{]/.test(expression) &&
  (expression.match(/[*+{]/g) ?? []).length <= 6;
