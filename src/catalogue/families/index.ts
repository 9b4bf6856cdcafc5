import type { ConfigFields } from '../config-fields.ts';
import type { ModelShape } from '../model-shape.ts';
import { llamaShape } from './dense.ts';

type Family = (fields: ConfigFields, architecture: string) => ModelShape;

/** By config.json's model_type. */
export const families: Readonly<Record<string, Family>> = {
  llama: llamaShape,
  qwen2: llamaShape,
};
