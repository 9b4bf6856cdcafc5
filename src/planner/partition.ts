export interface LayerRange {
  firstLayer: number;
  /** One past the last. */
  endLayer: number;
}

/**
 * Layers to stages, as even as counts allow. Earlier stages take the odd ones: the last stage has the head
 * to compute.
 */
export const partitionLayers = (layers: number, stages: number): LayerRange[] => {
  const share = Math.floor(layers / stages);
  const odd = layers % stages;
  const ranges: LayerRange[] = [];
  for (let stage = 0; stage < stages; stage += 1) {
    const firstLayer = stage * share + Math.min(stage, odd);
    ranges.push({ firstLayer, endLayer: firstLayer + share + (stage < odd ? 1 : 0) });
  }
  return ranges;
};
