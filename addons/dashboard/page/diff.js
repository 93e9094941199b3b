// What differs between two texts, line by line.

/** Lines past which texts are compared as wholes. */
const MOST = 3000;

/**
 * The lines of both: `["=" | "-" | "+", line]`. The longest common part stays.
 * @returns {[string, string][]}
 */
export function diff(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const same = (lines) => lines.map((line) => /** @type {[string, string]} */ (["=", line]));
  const middle = compare(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return [...same(a.slice(0, start)), ...middle, ...same(a.slice(a.length - end))];
}

function compare(a, b) {
  const marked = (mark, lines) => lines.map((line) => [mark, line]);
  if (a.length * b.length > MOST * MOST) return [...marked("-", a), ...marked("+", b)];
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] = a[i] === b[j] ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const found = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      found.push(["=", a[i]]);
      i++;
      j++;
    } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
      found.push(["-", a[i++]]);
    } else {
      found.push(["+", b[j++]]);
    }
  }
  return [...found, ...marked("-", a.slice(i)), ...marked("+", b.slice(j))];
}

/** Only what differs, with so many lines around it; `null` stands for lines left out. */
export function hunks(lines, around = 3) {
  const near = lines.map((_, at) => lines.slice(Math.max(0, at - around), at + around + 1).some(([mark]) => mark !== "="));
  const shown = [];
  lines.forEach((line, at) => {
    if (near[at]) shown.push(line);
    else if (shown.at(-1) !== null) shown.push(null);
  });
  return shown;
}
