import { formatBytes } from '../../base/quantity.ts';
import type { PictureCable } from './fleet-picture.ts';
import { escaped, text } from './markup.ts';

export const boxWidth = 250;

/** Where a box stands: its upper left corner, and how high it is. */
export interface Place {
  x: number;
  y: number;
  height: number;
}

type Places = ReadonlyMap<string, Place>;

/** Where more cables are used, labels would hide each other: then the legend says what each carries. */
const mostLabels = 8;

export const isLabelled = (cables: readonly PictureCable[]): boolean =>
  usedOf(cables).length <= mostLabels;

const usedOf = (cables: readonly PictureCable[]): PictureCable[] =>
  cables.filter(({ mode }) => mode);

/** "RDMA, 1.1 MiB a token each": what the cables of this mode carry. */
export const modeLabel = (cables: readonly PictureCable[], mode: 'RDMA' | 'TCP'): string => {
  const traffics = cables.filter((cable) => cable.mode === mode).map(bytesOf);
  const [least, most] = [Math.min(...traffics), Math.max(...traffics)].map(formatBytes);
  if (traffics.length === 0) return mode;
  return `${mode}, ${least === most ? most : `${least} to ${most}`} a token each`;
};

const bytesOf = ({ bytesPerToken }: PictureCable): number => bytesPerToken;

/** In rows, what passes a third node bends around it. */
export const drawCables = (
  cables: readonly PictureCable[],
  places: Places,
  isInRows: boolean,
): string[] =>
  cables.flatMap((cable) => {
    const ends = endsOf(cable, places);
    if (!ends) return [];
    const { a, b, type, mode, bytesPerToken } = cable;
    const look = mode === 'RDMA' ? 'rdma' : mode === 'TCP' ? 'tcp' : 'unused';
    const use = mode ? `${mode}, ${trafficOf(bytesPerToken)}` : 'not used';
    const title = `<title>${escaped(`${a} – ${b}: ${type}, ${use}`)}</title>`;
    const bend = isInRows ? bendOf(ends) : undefined;
    if (bend) return [`<path class="${look}" d="${bend}">${title}</path>`];
    const [from, to] = ends.map(centreOf);
    return from && to
      ? [
          `<line class="${look}" x1="${from.x}" y1="${from.y}" x2="${to.x}" y2="${to.y}">${title}</line>`,
        ]
      : [];
  });

/** What each cable carries, beside the middle of what is seen of it; drawn over the boxes. */
export const labelCables = (cables: readonly PictureCable[], places: Places): string[] => {
  const labels = usedOf(cables).flatMap((cable) => {
    const ends = endsOf(cable, places);
    return ends ? [{ cable, ends, middle: alongVisible(ends, 0.5) }] : [];
  });
  return labels.map(({ cable, ends, middle }) => {
    const meets = labels.some(
      (other) => other.cable !== cable && isNear(other.middle, middle, labelWidth / 2),
    );
    // Diagonals cross in the middle: near their beginnings their labels stay apart.
    const { x, y } = meets ? alongVisible(ends, 0.2) : middle;
    return text('traffic', Math.round(x), Math.round(y - 5), trafficOf(cable.bytesPerToken));
  });
};

const labelWidth = 90;

const trafficOf = (bytesPerToken: number): string => `${formatBytes(bytesPerToken)} a token`;

type Ends = readonly [Place, Place];

const endsOf = ({ a, b }: PictureCable, places: Places): Ends | undefined => {
  const [from, to] = [places.get(a), places.get(b)];
  return from && to ? [from, to] : undefined;
};

interface Point {
  x: number;
  y: number;
}

const centreOf = ({ x, y, height }: Place): Point => ({ x: x + boxWidth / 2, y: y + height / 2 });

const isNear = (a: Point, b: Point, distance: number): boolean =>
  Math.abs(a.x - b.x) < distance && Math.abs(a.y - b.y) < distance / 2;

/** The point at a share of that part of a straight cable which no box at its ends hides. */
const alongVisible = (ends: Ends, share: number): Point => {
  const [from, to] = [centreOf(ends[0]), centreOf(ends[1])];
  const delta = { x: to.x - from.x, y: to.y - from.y };
  const hidden = ({ height }: Place): number =>
    Math.min(
      delta.x === 0 ? 1 : boxWidth / 2 / Math.abs(delta.x),
      delta.y === 0 ? 1 : height / 2 / Math.abs(delta.y),
    );
  const [start, end] = [hidden(ends[0]), 1 - hidden(ends[1])];
  const at = start < end ? start + (end - start) * share : share;
  return { x: from.x + delta.x * at, y: from.y + delta.y * at };
};

/** Around the boxes between two in one row or column; undefined where none is between, or the way is diagonal. */
const bendOf = ([a, b]: Ends): string | undefined => {
  const [from, to] = [centreOf(a), centreOf(b)];
  const [columns, rows] = [Math.abs(a.x - b.x), Math.abs(a.y - b.y)];
  if (rows === 0 && columns > nextColumn) {
    const top = a.y - 24 - columns / 60;
    return `M${from.x} ${a.y} C${from.x} ${top} ${to.x} ${top} ${to.x} ${b.y}`;
  }
  if (columns === 0 && rows > a.height + nextRow) {
    const side = a.x + boxWidth + 24 + rows / 30;
    return `M${a.x + boxWidth} ${from.y} C${side} ${from.y} ${side} ${to.y} ${b.x + boxWidth} ${to.y}`;
  }
  return undefined;
};

/** Boxes that are no further apart stand side by side, or below each other. */
const nextColumn = 1.5 * boxWidth;
const nextRow = 150;
