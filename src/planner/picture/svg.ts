import { formatBytes } from '../../base/quantity.ts';
import { boxWidth, drawCables, isLabelled, labelCables, modeLabel } from './cables.ts';
import type { Place } from './cables.ts';
import type { FleetPicture, PictureCable, PictureNode } from './fleet-picture.ts';
import { text } from './markup.ts';

const headHeight = 46;
const shardHeight = 44;
const margin = 40;
const barWidth = boxWidth - 24;

interface Box extends Place {
  node: PictureNode;
}

/** A drawing of nodes, shards and cables as one SVG document, readable on light and dark pages. */
export const toSvg = ({ nodes, cables }: FleetPicture): string => {
  const boxes = arrange(nodes);
  const width = Math.max(...boxes.map(({ x }) => x + boxWidth), boxWidth) + margin;
  const legendY = Math.max(...boxes.map(({ y, height }) => y + height), 0) + margin;
  const byName = new Map(boxes.map((box) => [box.node.name, box]));
  const isInRows = nodes.length > mostAround;
  const isNumbered = !isInRows && isLabelled(cables);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${legendY + 34}" font-family="Helvetica, Arial, sans-serif" font-size="12">`,
    `<style>${style}</style>`,
    `<rect class="page" width="${width}" height="${legendY + 34}"/>`,
    ...drawCables(cables, byName, isInRows),
    ...boxes.flatMap(drawBox),
    ...(isNumbered ? labelCables(cables, byName) : []),
    ...legend(legendY, isNumbered ? [] : cables),
    '</svg>\n',
  ].join('\n');
};

const style = [
  '.page{fill:#fff}.box{fill:#fff;stroke:#4a5560}.idle{stroke-dasharray:5 4;stroke:#aab3bb}',
  'text{fill:#1c2329}.small{font-size:10px;fill:#5b6670}.name{font-weight:bold;font-size:14px}',
  '.track{fill:#e6e9ec}.weights{fill:#2f6f4f}.cache{fill:#7fb069}.workspace{fill:#d9ae3c}',
  '.rdma{stroke:#2f6f4f;stroke-width:4}.tcp{stroke:#b8602a;stroke-width:2}',
  '.traffic{font-size:10px;text-anchor:middle;paint-order:stroke;stroke:#fff;stroke-width:4px}',
  '.unused{stroke:#aab3bb;stroke-width:1;stroke-dasharray:4 4}line,path{fill:none}',
].join('');

/** Nodes that stand around an ellipse, so that no cable runs behind a third one; more stand in rows. */
const mostAround = 8;

const arrange = (nodes: readonly PictureNode[]): Box[] => {
  const heights = nodes.map(({ shards }) => headHeight + shardHeight * Math.max(shards.length, 0));
  const tallest = Math.max(...heights, headHeight);
  const places =
    nodes.length > mostAround ? grid(nodes.length, tallest) : ellipse(nodes.length, tallest);
  return nodes.map((node, index) => ({
    node,
    ...(places[index] ?? { x: 0, y: 0 }),
    height: heights[index] ?? headHeight,
  }));
};

const grid = (count: number, height: number): { x: number; y: number }[] => {
  const columns = Math.ceil(Math.sqrt(count));
  return Array.from({ length: count }, (_, index) => ({
    x: margin + (index % columns) * (boxWidth + 110),
    y: margin + Math.floor(index / columns) * (height + 70),
  }));
};

const ellipse = (count: number, height: number): { x: number; y: number }[] => {
  if (count === 1) return [{ x: margin, y: margin }];
  // Two or four nodes read best as a row or a square.
  const turn = count === 4 ? -Math.PI * 0.75 : count === 2 ? Math.PI : -Math.PI / 2;
  const spread = Math.max(1, count / 4);
  const radiusX = (boxWidth + 110) * 0.71 * spread;
  const radiusY = count === 2 ? 0 : (height + 80) * 0.75 * spread;
  const points = Array.from({ length: count }, (_, index) => {
    const angle = turn + (2 * Math.PI * index) / count;
    return { x: radiusX * Math.cos(angle), y: radiusY * Math.sin(angle) };
  });
  const left = Math.min(...points.map(({ x }) => x));
  const top = Math.min(...points.map(({ y }) => y));
  return points.map(({ x, y }) => ({
    x: Math.round(margin + x - left),
    y: Math.round(margin + y - top),
  }));
};

const drawBox = ({ node, x, y, height }: Box): string[] => [
  `<rect class="box${node.shards.length > 0 ? '' : ' idle'}" x="${x}" y="${y}" width="${boxWidth}" height="${height}" rx="8"/>`,
  text('name', x + 12, y + 20, shortened(node.name, 28)),
  text(
    'small',
    x + 12,
    y + 36,
    `${node.hardware === '' ? '' : `${node.hardware}, `}${formatBytes(node.memoryBytes)}`,
  ),
  ...node.shards.flatMap((shard, index) => {
    const top = y + headHeight + index * shardHeight;
    return [
      text('', x + 12, top + 10, shortened(shard.deployment, 38)),
      text('small', x + 12, top + 22, `${shard.label}, ${formatBytes(shard.memory.totalBytes)}`),
      ...memoryBar(shard.memory, node.memoryBytes, x + 12, top + 27),
    ];
  }),
];

/** Boxes have room for so many characters. */
const shortened = (content: string, most: number): string =>
  content.length > most ? `${content.slice(0, most - 1)}…` : content;

const memoryBar = (
  memory: PictureNode['shards'][number]['memory'],
  memoryBytes: number,
  x: number,
  y: number,
): string[] => {
  const parts: [string, number][] = [
    ['weights', memory.shardedWeightsBytes + memory.replicatedWeightsBytes],
    ['cache', memory.kvCacheBytes],
    ['workspace', memory.workspaceBytes],
  ];
  const bars = [`<rect class="track" x="${x}" y="${y}" width="${barWidth}" height="8"/>`];
  let at = x;
  for (const [name, bytes] of parts) {
    const width = Math.round((10 * barWidth * bytes) / Math.max(memoryBytes, 1)) / 10;
    bars.push(`<rect class="${name}" x="${at}" y="${y}" width="${width}" height="8"/>`);
    at += width;
  }
  return bars;
};

/** With what cables carry, where the cables themselves do not say it. */
const legend = (y: number, cables: readonly PictureCable[]): string[] => {
  const entries: [string, string, boolean][] = [
    ['weights', 'weights', true],
    ['cache', 'KV cache', true],
    ['workspace', 'workspace', true],
    ['rdma', modeLabel(cables, 'RDMA'), false],
    ['tcp', modeLabel(cables, 'TCP'), false],
    ['unused', 'cable not used', false],
  ];
  let x = margin;
  return entries.flatMap(([look, label, isArea]) => {
    const mark = isArea
      ? `<rect class="${look}" x="${x}" y="${y}" width="14" height="8"/>`
      : `<line class="${look}" x1="${x}" y1="${y + 4}" x2="${x + 14}" y2="${y + 4}"/>`;
    const entry = text('small', x + 20, y + 8, label);
    x += 50 + 5 * label.length;
    return [mark, entry];
  });
};
