// A terminal's screen: what the bytes of a program make of it. Pure; `views/terminal.js` draws it.
//
// The part of xterm that shells, editors and full-screen programs use: cursor movement, erasing, inserting and
// deleting, scroll regions, the other screen, colours, titles (which are ignored), and the answers to questions.

/** Lines that are kept above the screen. */
const HISTORY = 2000;
/** Longest parameters of a sequence. */
const PARAMETERS = 256;

const GROUND = 0, ESCAPE = 1, CSI = 2, OSC = 3, CHARSET = 4, STRING = 5;
/** Line drawing, which `ESC ( 0` puts in the place of small letters. */
const DRAWING = "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·";

/** What a cell looks like; equal looks are one object, so that runs are found by identity. */
const PLAIN = Object.freeze({ fg: null, bg: null, bold: false, dim: false, italic: false, underline: false, inverse: false });

/** Cells are `[text, look]`; a wide character has an empty cell behind it. */
const blank = (look = PLAIN) => [" ", look.bg === null ? PLAIN : { ...PLAIN, bg: look.bg }];

/** How many cells a character takes. */
export function width(character) {
  const code = character.codePointAt(0) ?? 0;
  if ((code >= 0x300 && code <= 0x36f) || (code >= 0x200b && code <= 0x200f) || (code >= 0xfe00 && code <= 0xfe0f)) return 0;
  const isWide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf && code !== 0x303f)
    || (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) || (code >= 0xfe30 && code <= 0xfe6f)
    || (code >= 0xff00 && code <= 0xff60) || (code >= 0xffe0 && code <= 0xffe6)
    || (code >= 0x1f300 && code <= 0x1faff) || (code >= 0x20000 && code <= 0x3fffd);
  return isWide ? 2 : 1;
}

export class Screen {
  /** @param {(answer: string) => void} reply what the terminal answers to a program's questions */
  constructor(columns = 80, rows = 24, reply = () => {}) {
    this.reply = reply;
    this.columns = columns;
    this.rows = rows;
    this.reset();
  }

  reset() {
    this.history = [];
    this.lines = this.empty(this.rows);
    this.other = null;
    this.x = 0;
    this.y = 0;
    this.isWrapping = false;
    this.top = 0;
    this.bottom = this.rows - 1;
    this.look = PLAIN;
    this.saved = { x: 0, y: 0, look: PLAIN };
    this.modes = { wrap: true, cursor: true, keys: false, paste: false, insert: false };
    this.isDrawing = false;
    this.state = GROUND;
    this.parameters = "";
    this.last = " ";
  }

  empty(rows) {
    return Array.from({ length: rows }, () => this.line());
  }

  line() {
    return Array.from({ length: this.columns }, () => blank(this.look ?? PLAIN));
  }

  resize(columns, rows) {
    const fit = (lines) => {
      for (const line of lines) {
        while (line.length < columns) line.push(blank());
        line.length = columns;
      }
      return lines;
    };
    this.columns = columns;
    while (this.lines.length > rows && this.y < this.lines.length - 1) this.lines.pop();
    while (this.lines.length > rows) {
      this.remember(this.lines.shift());
      this.y--;
    }
    while (this.lines.length < rows) this.lines.push(this.line());
    fit(this.lines);
    if (this.other) {
      this.other.lines.length = Math.min(this.other.lines.length, rows);
      while (this.other.lines.length < rows) this.other.lines.push(this.line());
      fit(this.other.lines);
    }
    this.rows = rows;
    this.top = 0;
    this.bottom = rows - 1;
    this.move(this.x, this.y);
  }

  /** Takes what a program says. */
  write(text) {
    for (const character of text) this.take(character);
  }

  take(character) {
    switch (this.state) {
      case GROUND: return this.plain(character);
      case ESCAPE: return this.escape(character);
      case CSI: return this.sequence(character);
      case CHARSET:
        this.isDrawing = character === "0";
        this.state = GROUND;
        return;
      default: return this.skip(character);
    }
  }

  /** The inside of a text that is for the window, not for the screen. */
  skip(character) {
    if (character === "\x07" || character === "\x9c") this.state = GROUND;
    else if (character === "\x1b") this.state = ESCAPE;
  }

  plain(character) {
    switch (character) {
      case "\x1b": this.state = ESCAPE; return;
      case "\r": return this.move(0, this.y);
      case "\n": case "\v": case "\f": return this.down();
      case "\b": return this.move(this.x - 1, this.y);
      case "\t": return this.move(Math.min(this.columns - 1, (this.x | 7) + 1), this.y);
    }
    if (character >= " " && character !== "\x7f") this.print(character);
  }

  print(character) {
    if (this.isDrawing && character >= "`" && character <= "~") character = DRAWING[character.charCodeAt(0) - 96] ?? character;
    const cells = width(character);
    if (cells === 0) {
      const before = this.lines[this.y][Math.max(0, this.x - 1)];
      if (before[0].length < 16) before[0] += character;
      return;
    }
    if (this.isWrapping || this.x + cells > this.columns) {
      if (this.modes.wrap) {
        this.move(0, this.y);
        this.down();
      } else {
        this.x = Math.max(0, this.columns - cells);
      }
    }
    const line = this.lines[this.y];
    if (this.modes.insert) {
      for (let n = 0; n < cells; n++) line.splice(this.x, 0, blank());
      line.length = this.columns;
    }
    line[this.x] = [character, this.look];
    if (cells === 2 && this.x + 1 < this.columns) line[this.x + 1] = ["", this.look];
    this.last = character;
    this.isWrapping = this.x + cells >= this.columns;
    this.x = Math.min(this.x + cells, this.columns - 1);
  }

  move(x, y) {
    this.x = Math.max(0, Math.min(this.columns - 1, x));
    this.y = Math.max(0, Math.min(this.rows - 1, y));
    this.isWrapping = false;
  }

  down() {
    this.isWrapping = false;
    if (this.y === this.bottom) this.scrollUp(1);
    else if (this.y < this.rows - 1) this.y++;
  }

  up() {
    if (this.y === this.top) this.scrollDown(1);
    else if (this.y > 0) this.y--;
  }

  scrollUp(count) {
    for (let n = 0; n < Math.min(count, this.rows); n++) {
      const [line] = this.lines.splice(this.top, 1);
      if (this.top === 0 && !this.other) this.remember(line);
      this.lines.splice(this.bottom, 0, this.line());
    }
  }

  scrollDown(count) {
    for (let n = 0; n < Math.min(count, this.rows); n++) {
      this.lines.splice(this.bottom, 1);
      this.lines.splice(this.top, 0, this.line());
    }
  }

  remember(line) {
    this.history.push(line);
    if (this.history.length > HISTORY) this.history.shift();
  }

  escape(character) {
    this.state = GROUND;
    switch (character) {
      case "[": this.state = CSI; this.parameters = ""; return;
      case "]": this.state = OSC; return;
      case "P": case "_": case "^": case "X": this.state = STRING; return;
      case "(": case ")": this.state = CHARSET; return;
      case "7": return this.save();
      case "8": return this.restore();
      case "D": return this.down();
      case "E": this.move(0, this.y); return this.down();
      case "M": return this.up();
      case "c": return this.reset();
    }
  }

  save() {
    this.saved = { x: this.x, y: this.y, look: this.look };
  }

  restore() {
    this.move(this.saved.x, this.saved.y);
    this.look = this.saved.look;
  }

  sequence(character) {
    if (character === "\x1b") {
      this.state = ESCAPE;
    } else if (character < "@" || character > "~") {
      if (this.parameters.length < PARAMETERS) this.parameters += character;
    } else {
      this.state = GROUND;
      this.run(character, this.parameters);
    }
  }

  run(final, text) {
    const isPrivate = text.startsWith("?");
    const numbers = text.replace(/^[?>=]/, "").split(/[;:]/).map((part) => Math.min(Number.parseInt(part, 10) || 0, 9999));
    const count = Math.max(1, numbers[0]);
    if (/[>=! "$']/.test(text)) return;
    switch (final) {
      case "A": return this.move(this.x, Math.max(this.y - count, this.y >= this.top ? this.top : 0));
      case "B": case "e": return this.move(this.x, Math.min(this.y + count, this.y <= this.bottom ? this.bottom : this.rows - 1));
      case "C": case "a": return this.move(this.x + count, this.y);
      case "D": return this.move(this.x - count, this.y);
      case "E": return this.move(0, this.y + count);
      case "F": return this.move(0, this.y - count);
      case "G": case "`": return this.move(count - 1, this.y);
      case "H": case "f": return this.move((numbers[1] || 1) - 1, count - 1);
      case "d": return this.move(this.x, count - 1);
      case "J": return this.eraseScreen(numbers[0]);
      case "K": return this.eraseLine(numbers[0]);
      case "L": return this.within(() => this.scrollDown(count));
      case "M": return this.within(() => this.scrollUp(count));
      case "P": return this.shift(count);
      case "@": return this.push(count);
      case "X": return this.erase(this.y, this.x, this.x + count);
      case "S": return this.scrollUp(count);
      case "T": return this.scrollDown(count);
      case "b": for (let n = 0; n < Math.min(count, this.columns * this.rows); n++) this.print(this.last); return;
      case "m": return this.paint(numbers);
      case "r": return this.region(numbers);
      case "s": return this.save();
      case "u": return this.restore();
      case "n": if (numbers[0] === 6) this.reply(`\x1b[${this.y + 1};${this.x + 1}R`); else if (numbers[0] === 5) this.reply("\x1b[0n"); return;
      case "c": if (!isPrivate) this.reply("\x1b[?1;2c"); return;
      case "h": case "l": return numbers.forEach((mode) => this.mode(mode, final === "h", isPrivate));
    }
  }

  /** Moves lines below the cursor, as if the region began there. */
  within(act) {
    if (this.y < this.top || this.y > this.bottom) return;
    const [top, other] = [this.top, this.other];
    this.top = this.y;
    // What is deleted by a program is not history.
    this.other = other ?? { lines: [] };
    act();
    this.top = top;
    this.other = other;
    this.move(0, this.y);
  }

  region(numbers) {
    const top = (numbers[0] || 1) - 1;
    const bottom = (numbers[1] || this.rows) - 1;
    if (top < bottom && bottom < this.rows) {
      this.top = top;
      this.bottom = bottom;
      this.move(0, 0);
    }
  }

  erase(y, from, to) {
    for (let x = from; x < Math.min(to, this.columns); x++) this.lines[y][x] = blank(this.look);
  }

  eraseLine(how) {
    this.erase(this.y, how === 0 ? this.x : 0, how === 1 ? this.x + 1 : this.columns);
  }

  eraseScreen(how) {
    if (how === 3) {
      this.history = [];
      return;
    }
    for (let y = 0; y < this.rows; y++) {
      if ((how === 0 && y > this.y) || (how === 1 && y < this.y) || how === 2) this.erase(y, 0, this.columns);
    }
    if (how !== 2) this.eraseLine(how);
  }

  shift(count) {
    const line = this.lines[this.y];
    line.splice(this.x, Math.min(count, this.columns - this.x));
    while (line.length < this.columns) line.push(blank(this.look));
  }

  push(count) {
    const line = this.lines[this.y];
    for (let n = 0; n < Math.min(count, this.columns - this.x); n++) line.splice(this.x, 0, blank(this.look));
    line.length = this.columns;
  }

  mode(number, isOn, isPrivate) {
    if (!isPrivate) {
      if (number === 4) this.modes.insert = isOn;
      return;
    }
    switch (number) {
      case 1: this.modes.keys = isOn; return;
      case 7: this.modes.wrap = isOn; return;
      case 25: this.modes.cursor = isOn; return;
      case 2004: this.modes.paste = isOn; return;
      case 47: case 1047: case 1049: return this.turn(isOn);
    }
  }

  /** Goes to the other screen, which has no history, or back. */
  turn(isOther) {
    if (isOther && !this.other) {
      this.other = { lines: this.lines, x: this.x, y: this.y, look: this.look };
      this.look = PLAIN;
      this.lines = this.empty(this.rows);
      this.move(0, 0);
    } else if (!isOther && this.other) {
      const { lines, x, y, look } = this.other;
      this.other = null;
      this.lines = lines;
      this.look = look;
      this.move(x, y);
    }
    this.top = 0;
    this.bottom = this.rows - 1;
  }

  paint(numbers) {
    let look = { ...this.look };
    for (let at = 0; at < numbers.length; at++) {
      const number = numbers[at];
      if (number === 0) look = { ...PLAIN };
      else if (number === 1) look.bold = true;
      else if (number === 2) look.dim = true;
      else if (number === 3) look.italic = true;
      else if (number === 4) look.underline = true;
      else if (number === 7) look.inverse = true;
      else if (number === 22) look.bold = look.dim = false;
      else if (number === 23) look.italic = false;
      else if (number === 24) look.underline = false;
      else if (number === 27) look.inverse = false;
      else if (number >= 30 && number <= 37) look.fg = number - 30;
      else if (number === 39) look.fg = null;
      else if (number >= 40 && number <= 47) look.bg = number - 40;
      else if (number === 49) look.bg = null;
      else if (number >= 90 && number <= 97) look.fg = number - 82;
      else if (number >= 100 && number <= 107) look.bg = number - 92;
      else if (number === 38 || number === 48) {
        const [colour, used] = extended(numbers.slice(at + 1));
        look[number === 38 ? "fg" : "bg"] = colour;
        at += used;
      }
    }
    this.look = Object.freeze(look);
  }

  /** The rows as plain text, without what is blank at their ends. */
  text() {
    return this.lines.map((line) => line.map(([text]) => text).join("").trimEnd());
  }
}

/** A colour of 256, or any: its number or its name in style sheets, and how many numbers it took. */
function extended([kind, a, b, c]) {
  if (kind === 5) return [Math.min(a ?? 0, 255), 2];
  if (kind === 2) return [`rgb(${[a, b, c].map((part) => Math.min(part ?? 0, 255)).join(" ")})`, 4];
  return [null, 1];
}
