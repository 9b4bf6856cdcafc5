import { matrix } from '../model-shape.ts';
import type { LayerShape } from '../model-shape.ts';

/** What an MLP adds to a layer. */
export type MlpShape = Pick<LayerShape, 'modules' | 'divisors' | 'groupCuts'>;

/** Gate, up and down. `prefix`: "model.layers.0.mlp". */
export const gatedMlp = (
  prefix: string,
  hiddenSize: number,
  width: number,
  { bias = false }: { bias?: boolean } = {},
): MlpShape => ({
  modules: [
    matrix(`${prefix}.gate_proj`, [width, hiddenSize], 'Rows', { bias }),
    matrix(`${prefix}.up_proj`, [width, hiddenSize], 'Rows', { bias }),
    matrix(`${prefix}.down_proj`, [hiddenSize, width], 'Columns', { bias }),
  ],
  divisors: [{ reason: 'IndivisibleIntermediateSize', what: 'columns of the MLP', count: width }],
  groupCuts: [
    { what: 'MLP down projection', module: `${prefix}.down_proj`, inputs: width, unit: 1 },
  ],
});
