/**
 * A deep-frozen copy as it will come back from disk: plain JSON, undefined fields gone. Views hand these out,
 * so that nobody changes an object in place.
 */
export const frozenCopy = <T>(value: T): T => freeze(JSON.parse(JSON.stringify(value)));

const freeze = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null) return value;
  for (const field of Object.values(value)) freeze(field);
  return Object.freeze(value);
};
