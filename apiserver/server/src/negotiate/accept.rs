//! The clauses of an `Accept` header.
//!
//! Upstream: `munnerz/goautoneg`, whose order of clauses is not that of RFC 9110: a type that is named goes before one
//! that is not, whatever their qualities.

/// Up to so many clauses Go sorts by insertion, which decides where its order contradicts itself.
const FEW: usize = 12;

/// One clause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clause<'h> {
    kind: &'h str,
    subtype: &'h str,
    quality: f64,
    /// All that follows the first semicolon.
    parameters: &'h str,
}

impl<'h> Clause<'h> {
    fn parse(text: &'h str) -> Option<Self> {
        let (media_type, parameters) = text.trim_matches(' ').split_once(';').unwrap_or((text.trim_matches(' '), ""));
        let (kind, subtype) = match media_type.split_once('/') {
            None | Some((_, "")) if media_type.split('/').next().is_some_and(|kind| kind.trim_matches(' ') == "*") => {
                ("*", "*")
            }
            None | Some((_, "")) => return None,
            Some((kind, subtype)) => (kind.trim_matches(' '), subtype.strip_suffix('/').unwrap_or(subtype)),
        };
        if subtype.contains('/') {
            return None;
        }
        let mut clause = Self { kind, subtype: subtype.trim_matches(' '), quality: 1.0, parameters };
        if let Some((_, quality)) = clause.pairs().filter(|(key, _)| *key == "q").last() {
            clause.quality = quality.parse().unwrap_or(0.0);
        }
        Some(clause)
    }

    /// Whether the clause accepts a media type. Types are told apart by case, too.
    pub(super) fn matches(&self, kind: &str, subtype: &str) -> bool {
        match (self.kind, self.subtype) {
            ("*", "*") => true,
            (k, s) => k == kind && (s == subtype || s == "*"),
        }
    }

    /// The parameters but for the quality, as they stand; the last of a name counts.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'h str, &'h str)> {
        self.pairs().filter(|(key, _)| *key != "q").map(|(key, value)| (key, value.trim_matches(' ')))
    }

    /// What has a name and a value, which holds no further equals sign but for a last one.
    fn pairs(&self) -> impl Iterator<Item = (&'h str, &'h str)> + use<'h> {
        self.parameters.split(';').filter_map(|parameter| {
            let (key, value) = parameter.split_once('=').filter(|(_, value)| !value.is_empty())?;
            let value = value.strip_suffix('=').unwrap_or(value);
            (!value.contains('=')).then_some((key.trim_matches(' '), value))
        })
    }

    fn goes_before(&self, other: &Self) -> bool {
        self.quality > other.quality
            || (self.kind != "*" && other.kind == "*")
            || (self.subtype != "*" && other.subtype == "*")
    }
}

/// The clauses of an `Accept` header, the best first.
pub(super) fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(Clause::parse).collect();
    if clauses.len() > FEW {
        let rank = |clause: &Clause<'_>| (clause.kind == "*", clause.subtype == "*");
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then_with(|| rank(a).cmp(&rank(b))));
        return clauses;
    }
    for end in 1..clauses.len() {
        for at in (1..=end).rev() {
            if !clauses[at].goes_before(&clauses[at - 1]) {
                break;
            }
            clauses.swap(at, at - 1);
        }
    }
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(header: &str) -> Vec<String> {
        clauses(header).iter().map(|clause| format!("{}/{}", clause.kind, clause.subtype)).collect()
    }

    #[test]
    fn named_types_go_before_others() {
        for (header, want) in [
            ("a/b,c/d;q=0.5,e/f;q=0.7", vec!["a/b", "e/f", "c/d"]),
            ("application/*,*/*,a/b", vec!["a/b", "application/*", "*/*"]),
            ("*/*;q=0.9,a/b;q=0.1", vec!["a/b", "*/*"]),
            ("a/b;q=x,c/d;q=0.1", vec!["c/d", "a/b"]),
            ("*, a, a/b/c, /b, a/", vec!["/b", "*/*"]),
            ("", vec![]),
        ] {
            assert_eq!(order(header), want, "{header}");
        }
        let many = format!("*/*,{}z/z;q=0.1", "a/b,".repeat(FEW));
        let ordered = order(&many);
        assert_eq!((&*ordered[0], &*ordered[FEW], &*ordered[FEW + 1]), ("a/b", "*/*", "z/z"));
    }

    #[test]
    fn parameters_are_read_as_they_stand() {
        let clause = Clause::parse(" a/b ; as=\"x\"; v = 1 ;q=0.5;;n;m=;c=a=b;d=e=").expect("a clause");
        let parameters: Vec<_> = clause.parameters().collect();
        assert_eq!(parameters, vec![("as", "\"x\""), ("v", "1"), ("d", "e")]);
        assert!((clause.quality - 0.5).abs() < f64::EPSILON);
        assert!(clause.matches("a", "b") && !clause.matches("A", "b"));
    }
}
