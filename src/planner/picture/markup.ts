/** A line of text at a place; `look` is a class, or empty. */
export const text = (look: string, x: number, y: number, content: string): string =>
  `<text${look === '' ? '' : ` class="${look}"`} x="${x}" y="${y}">${escaped(content)}</text>`;

export const escaped = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
