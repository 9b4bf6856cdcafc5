import { formatBytes } from '../../base/quantity.ts';
import type { FleetPicture } from './fleet-picture.ts';

/** Graphviz text of the picture: `espalier plan --dot … | dot -Tpdf`. */
export const toDot = ({ nodes, cables }: FleetPicture): string => {
  const boxes = nodes.map(({ name, hardware, memoryBytes, shards }) => {
    const lines = [
      name,
      `${hardware === '' ? '' : `${hardware}, `}${formatBytes(memoryBytes)}`,
      ...shards.map(
        ({ deployment, label, memory }) =>
          `${deployment} ${label} (${formatBytes(memory.totalBytes)})`,
      ),
    ];
    return `  ${quoted(name)} [label=${quoted(lines.join('\n'))}${shards.length > 0 ? '' : ', style=dashed'}];`;
  });
  const edges = cables.map(({ a, b, type, mode, bytesPerToken }) => {
    const label = mode ? `${type}, ${mode}, ${formatBytes(bytesPerToken)} a token` : type;
    const style = mode === 'RDMA' ? 'bold' : mode === 'TCP' ? 'solid' : 'dotted';
    return `  ${quoted(a)} -- ${quoted(b)} [label=${quoted(label)}, style=${style}];`;
  });
  return `graph espalier {\n  node [shape=box, fontname="Helvetica"];\n  edge [fontname="Helvetica", fontsize=10];\n${[...boxes, ...edges].join('\n')}\n}\n`;
};

const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
