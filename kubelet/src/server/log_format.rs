//! The runtime's log format: `time stream tag content`, tag `P` for a line that goes on.
//!
//! Upstream: `kubelet/logs` of `cri-client`.

use k8s_openapi::jiff::Timestamp;

/// One piece of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub time: &'a [u8],
    pub stream: &'a [u8],
    /// Whether the line ends here.
    pub complete: bool,
    pub content: &'a [u8],
}

/// Reads a line of the file, without its newline. `None` if it is not of the format.
pub fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let (time, stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
    if !matches!(stream, b"stdout" | b"stderr") {
        return None;
    }
    let complete = tag.split(|b| *b == b':').next() == Some(b"F");
    Some(Entry { time, stream, complete, content: parts.next().unwrap_or_default() })
}

impl Entry<'_> {
    /// Whether it was written at `since` or later.
    pub fn is_since(&self, since: Timestamp) -> bool {
        let time = std::str::from_utf8(self.time).ok().and_then(|t| t.parse::<Timestamp>().ok());
        time.is_none_or(|t| t >= since)
    }
}

/// Where in `text` its last `lines` lines begin. Pieces of one line count once.
pub fn tail_start(text: &[u8], lines: usize) -> usize {
    if lines == 0 {
        return text.len();
    }
    let mut wanted = lines;
    let mut end = text.len();
    let mut start = text.len();
    while end > 0 {
        let body = if text[end - 1] == b'\n' { end - 1 } else { end };
        let begin = text[..body].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let ends_line = parse(&text[begin..body]).is_none_or(|e| e.complete) || start == text.len();
        if ends_line {
            if wanted == 0 {
                return start;
            }
            wanted -= 1;
        }
        start = begin;
        end = begin;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let e = parse(b"2026-01-01T00:00:00.1Z stdout F a b").unwrap();
        assert_eq!((e.stream, e.complete, e.content), (&b"stdout"[..], true, &b"a b"[..]));
        assert!(!parse(b"t stderr P x").unwrap().complete);
        assert_eq!(parse(b"t stdout F").unwrap().content, b"");
        for bad in [&b""[..], b"x", b"t other F x"] {
            assert_eq!(parse(bad), None);
        }
        let since = "2026-01-01T00:00:01Z".parse().unwrap();
        assert!(!e.is_since(since));
    }

    #[test]
    fn tails() {
        let text = b"t stdout F 1\nt stdout P 2\nt stdout F 2\nt stdout F 3\n";
        for (lines, want) in [(0, ""), (1, "3\n"), (2, "2\nt stdout F 2\nt stdout F 3\n"), (9, "1\n")] {
            let got = std::str::from_utf8(&text[tail_start(text, lines)..]).unwrap();
            let tail = got.strip_prefix("t stdout F ").or(got.strip_prefix("t stdout P ")).unwrap_or(got);
            assert!(tail.starts_with(want) && (lines != 1 || tail == want), "{lines}: {got:?}");
        }
    }
}
