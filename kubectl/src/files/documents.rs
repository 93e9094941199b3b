//! The documents of a stream, one after the other as they are read: JSON values, or YAML between lines of dashes. Of
//! the stream no more is held than the document that is being read.
//!
//! Upstream: `apimachinery/pkg/util/yaml/decoder.go` (`YAMLOrJSONDecoder`), with its guesses.

use super::json::Scanner;
use apimachinery::Value;
use apimachinery::codec::{json, yaml};
use std::io::{self, BufRead, BufReader, Cursor, Read};

/// Longest stream that is read.
const MAX_LENGTH: u64 = 256 << 20;
/// How far is looked for the brace that JSON begins with.
const GUESSED: usize = 4096;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The stream cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// What is read is neither JSON nor YAML, in upstream's words.
    #[error("{0}")]
    Syntax(String),
}

/// What the stream is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Yaml,
    /// Nothing more is read.
    Over,
}

/// The documents of a stream. What follows one that cannot be read is not looked at.
pub(crate) struct Documents {
    stream: Box<dyn BufRead + Send>,
    form: Form,
    /// How many JSON values were read: after two of them the stream is no YAML any more.
    values: usize,
    /// How many bytes were read as JSON.
    offset: usize,
    /// The last document as it was written, if it was JSON.
    written: Option<String>,
}

impl Documents {
    /// Reads a stream of bytes, which is in UTF-16 if it begins as such, and in UTF-8 otherwise.
    pub(crate) fn read(stream: impl Read + Send + 'static) -> io::Result<Self> {
        let mut stream = BufReader::with_capacity(64 << 10, Bounded { stream, left: MAX_LENGTH });
        let begin = peek(&mut stream)?;
        let wide: Option<fn([u8; 2]) -> u16> = match begin {
            [0xff, 0xfe, ..] => Some(u16::from_le_bytes),
            [0xfe, 0xff, ..] => Some(u16::from_be_bytes),
            _ => None,
        };
        if let Some(pair) = wide {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes)?;
            let units = bytes[2..].chunks_exact(2).map(|unit| pair([unit[0], unit[1]]));
            let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
            return Ok(Self::of(text));
        }
        if begin.starts_with(b"\xef\xbb\xbf") {
            stream.consume(3);
        }
        let form = guess(peek(&mut stream)?);
        Ok(Self { stream: Box::new(stream), form, values: 0, offset: 0, written: None })
    }

    /// Reads a text.
    pub(crate) fn of(text: String) -> Self {
        let form = guess(text.as_bytes());
        Self { stream: Box::new(Cursor::new(text.into_bytes())), form, values: 0, offset: 0, written: None }
    }

    /// The text of the last document, if it was JSON. What is wrong with YAML is told of what is made of it.
    pub(crate) fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }

    fn next_document(&mut self) -> Result<Option<Value>, Fault> {
        self.written = None;
        match self.form {
            Form::Json => self.json_value(),
            Form::Yaml => self.yaml_document(),
            Form::Over => Ok(None),
        }
    }

    /// The next JSON value; where there is none, what is there may be YAML.
    fn json_value(&mut self) -> Result<Option<Value>, Fault> {
        let (mut text, mut scanner) = (Vec::new(), Scanner::new());
        let fault = loop {
            let bytes = self.stream.fill_buf()?;
            if bytes.is_empty() {
                if !scanner.begun() {
                    return Ok(None);
                }
                break if scanner.may_end() { None } else { Some("unexpected EOF".to_owned()) };
            }
            let (read, end) = scanner.read(bytes);
            text.extend_from_slice(&bytes[..read]);
            self.stream.consume(read);
            match end {
                None => {}
                Some(Ok(())) => break None,
                Some(Err(why)) if self.values > 1 => break Some(why),
                Some(Err(why)) => break Some(format!("json: offset {}: {why}", self.offset + text.len())),
            }
        };
        let Some(fault) = fault else {
            self.values += 1;
            self.offset += text.len();
            let text = String::from_utf8_lossy(&text).into_owned();
            let value = serde_json::from_str(&text).or_else(|_| json::to_value(text.as_bytes()));
            self.written = Some(text);
            return value.map(Some).map_err(|error| Fault::Syntax(error.to_string()));
        };
        if self.values > 1 {
            return Err(Fault::Syntax(fault));
        }
        // Upstream looks at four bytes to tell white space.
        if text.len() < 4 && self.stream.fill_buf()?.is_empty() {
            return Err(Fault::Syntax(fault));
        }
        let line = text.iter().position(|byte| !byte.is_ascii_whitespace() || *byte == b'\n').unwrap_or(text.len());
        let begin = if text.get(line) == Some(&b'\n') { line + 1 } else { line };
        let stream = std::mem::replace(&mut self.stream, Box::new(io::empty()));
        self.stream = Box::new(Cursor::new(text.split_off(begin)).chain(stream));
        self.form = Form::Yaml;
        self.yaml_document().map_err(|error| match error {
            Fault::Syntax(_) => Fault::Syntax(fault),
            error => error,
        })
    }

    fn yaml_document(&mut self) -> Result<Option<Value>, Fault> {
        let Some(document) = self.lines()? else { return Ok(None) };
        let text = match String::from_utf8(document) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        let wrong = |error| Fault::Syntax(format!("error converting YAML to JSON: {error}"));
        yaml::to_value(text.as_bytes()).map(Some).map_err(wrong)
    }

    /// The lines up to the next separator. One at the begin is the document's own.
    fn lines(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let mut document = Vec::new();
        loop {
            let start = document.len();
            if self.stream.read_until(b'\n', &mut document)? == 0 {
                return Ok((!document.is_empty()).then_some(document));
            }
            let line = &mut document[start..];
            if let Some(behind) = line.strip_prefix(b"---") {
                let behind = String::from_utf8_lossy(behind);
                let behind = behind.trim();
                if !behind.is_empty() && !behind.starts_with('#') {
                    return Err(Fault::Syntax(format!("invalid Yaml document separator: {behind}")));
                }
                if start > 0 {
                    document.truncate(start);
                    return Ok(Some(document));
                }
            }
            if document.ends_with(b"\r\n") {
                document.truncate(document.len() - 2);
                document.push(b'\n');
            }
        }
    }
}

impl Iterator for Documents {
    type Item = Result<Value, Fault>;

    /// The next document; what says nothing at all is none.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_document().transpose()? {
                Ok(Value::Null) => {}
                Ok(document) => return Some(Ok(document)),
                Err(fault) => {
                    self.form = Form::Over;
                    return Some(Err(fault));
                }
            }
        }
    }
}

fn peek<R: Read>(stream: &mut BufReader<R>) -> io::Result<&[u8]> {
    stream.fill_buf()
}

fn guess(begin: &[u8]) -> Form {
    let begin = begin[..begin.len().min(GUESSED)].trim_ascii_start();
    if begin.starts_with(b"{") { Form::Json } else { Form::Yaml }
}

/// A stream that is an error when it is too long: half of a manifest is none.
struct Bounded<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(format!("longer than {} MiB", MAX_LENGTH >> 20))),
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(bytes: &[u8]) -> (Vec<Value>, Option<String>) {
        let (mut documents, mut fault) = (Vec::new(), None);
        for outcome in Documents::read(Cursor::new(bytes.to_vec())).expect("a stream") {
            match outcome {
                Ok(document) => documents.push(document),
                Err(why) => fault = Some(why.to_string()),
            }
        }
        (documents, fault)
    }

    #[test]
    fn documents_come_one_after_the_other() {
        let (a, b) = (json!({"a": 1}), json!({"b": 2}));
        let both = [a.clone(), b.clone()];
        for (text, want) in [
            ("# only a comment\n---\na: 1\n--- # second\nb: 2\n---\n\n", &both[..]),
            ("a: 1\r\n---\r\nb: 2\r\n", &both),
            ("{\"a\": 1}\n {\"b\": 2}\n", &both),
            ("{\"a\": 1}\n---\nb: 2", &both),
            ("{\"a\": 1}---\nb: 2", &both),
            ("\u{feff}{\"a\": 1}{\"b\": 2}", &both),
            ("{a: 1}\n---\n{\"b\": 2}", &both),
            ("a: 1\n...\n---\nb: 2", &both),
            ("a: 1\n---\nnull\n---\n~\n---\nb: 2", &both),
            ("---\n---\n---\n{\"b\": 2}", &both[1..]),
            ("", &[]),
            (" \n", &[]),
        ] {
            let (documents, fault) = told(text.as_bytes());
            assert_eq!(documents, want, "{text:?}: {fault:?}");
        }
        assert_eq!(told(b"a: '---\n  x'\n").1, None);
    }

    #[test]
    fn what_is_wrong_is_told_in_upstreams_words() {
        for (text, read, want) in [
            (
                "a: 1\n---\nb: [\n---\nc: 1",
                1,
                "error converting YAML to JSON: yaml: line 1: did not find expected node content",
            ),
            ("a: 1\n----\nb: 1\n", 0, "invalid Yaml document separator: -"),
            ("{\"a\":}", 0, ""),
            ("{\"a\":1}{\"b\":", 1, "unexpected EOF"),
            ("{\"a\":1}\n}", 1, "json: offset 9: invalid character '}' looking for beginning of value"),
            ("{\"a\":1}{\"b\":2}{\"c\":}", 2, "invalid character '}' looking for beginning of value"),
            ("{\"a\":1}{\"b\":2}\n---\nc: 1", 2, "invalid character '-' in numeric literal"),
            ("{{a}}: [", 0, "json: offset 2: invalid character '{' looking for beginning of object key string"),
        ] {
            let (documents, fault) = told(text.as_bytes());
            // A YAML reader takes an empty value.
            let want = (!want.is_empty()).then_some(want);
            let read = if want.is_none() { 1 } else { read };
            assert_eq!((documents.len(), fault.as_deref()), (read, want), "{text:?}");
        }
    }

    #[test]
    fn texts_need_not_be_in_utf8() {
        for (bytes, want) in [
            (&b"a: \xff"[..], json!({"a": "\u{fffd}"})),
            (b"{\"a\": \"\xff\"}", json!({"a": "\u{fffd}"})),
            (b"\xff\xfea\0:\0 \x001\0", json!({"a": 1})),
            (b"\xfe\xff\0a\0:\0 \x001", json!({"a": 1})),
            (b"{\"a\": \"\\ud800\"}", json!({"a": "\u{fffd}"})),
        ] {
            assert_eq!(told(bytes), (vec![want], None));
        }
    }

    #[test]
    fn streams_are_bounded() {
        let mut bounded = Bounded { stream: io::repeat(b'x'), left: 10 };
        assert!(bounded.read(&mut [0; 8]).is_ok());
        assert_eq!(bounded.read(&mut [0; 8]).map_err(|e| e.to_string()), Err("longer than 256 MiB".into()));
    }
}
