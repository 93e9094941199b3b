//! Indents compact JSON as it passes by, in pieces of any size.

use bytes::Bytes;

/// Where in a document the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Outside strings.
    #[default]
    Structure,
    /// After `{` or `[`: an empty container stays on its line.
    Opened,
    /// In a string.
    String,
    /// After a backslash in a string.
    Escape,
}

/// State between pieces.
#[derive(Clone, Debug, Default)]
pub struct Indenter {
    depth: usize,
    place: Place,
}

impl Indenter {
    /// The next piece, indented by two spaces a level.
    pub fn piece(&mut self, compact: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(compact.len() * 2);
        for byte in compact {
            self.byte(*byte, &mut out);
        }
        out.into()
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.place {
            Place::Escape => self.place = Place::String,
            Place::String => match byte {
                b'\\' => self.place = Place::Escape,
                b'"' => self.place = Place::Structure,
                _ => {}
            },
            Place::Structure | Place::Opened => return self.structure(byte, out),
        }
        out.push(byte);
    }

    fn structure(&mut self, byte: u8, out: &mut Vec<u8>) {
        let opened = std::mem::take(&mut self.place) == Place::Opened;
        match byte {
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !opened {
                    self.new_line(out);
                }
                return out.push(byte);
            }
            b' ' | b'\n' | b'\r' | b'\t' => {
                self.place = if opened { Place::Opened } else { Place::Structure };
                return;
            }
            _ if opened => self.new_line(out),
            _ => {}
        }
        out.push(byte);
        match byte {
            b'"' => self.place = Place::String,
            b'{' | b'[' => {
                self.depth += 1;
                self.place = Place::Opened;
            }
            b',' => self.new_line(out),
            b':' => out.push(b' '),
            _ => {}
        }
    }

    fn new_line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + 2 * self.depth, b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indents_as_serde_does_whatever_the_pieces() {
        let value = serde_json::json!({
            "a": [1, {"b": "x,y:{\"}"}, [], {}], "c": {}, "d": "\\", "e": null, "f": [[]],
        });
        let compact = serde_json::to_vec(&value).expect("json");
        let want = serde_json::to_string_pretty(&value).expect("json");
        for size in [1, 2, 7, compact.len()] {
            let mut indenter = Indenter::default();
            let got: Vec<u8> = compact.chunks(size).flat_map(|c| indenter.piece(c)).collect();
            assert_eq!(String::from_utf8(got).expect("text"), want, "pieces of {size}");
        }
    }
}
