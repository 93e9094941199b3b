//! Lists of a job's indexes, such as `1,3-5`.

/// How many indexes a list names, or what is wrong with it.
pub(super) fn count(list: &str, completions: i64) -> Result<i64, String> {
    if list.is_empty() {
        return Ok(0);
    }
    let (mut total, mut last) = (0, None);
    for text in list.split(',') {
        let (from, to) = interval(text, completions)?;
        if let Some(last) = last.filter(|last| *last >= from) {
            return Err(format!("non-increasing order, previous: {last}, current: {from}"));
        }
        total += to - from + 1;
        last = Some(to);
    }
    Ok(total)
}

fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let mut parts = text.split('-');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        return Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at most two parts \
             separated by '-'"
        ));
    }
    let index = |part: &str| match part.parse::<i64>() {
        Err(_) => Err(format!("cannot convert string to integer for index: {part:?}")),
        Ok(number) if number >= completions => Err(format!("too large index: {part:?}")),
        Ok(number) => Ok(number),
    };
    let from = index(first)?;
    let Some(second) = second else { return Ok((from, from)) };
    match index(second)? {
        to if from >= to => Err(format!("non-increasing order, previous: {from}, current: {to}")),
        to => Ok((from, to)),
    }
}

/// The first index that two lists share; intervals that are wrong are passed over.
pub(super) fn shared(one: &str, other: &str, completions: i64) -> Option<i64> {
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let right = |list: &str| list.split(',').filter_map(|text| interval(text, completions).ok()).collect::<Vec<_>>();
    let (one, other) = (right(one), right(other));
    let (mut left, mut rest) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(&&(a, b)), Some(&&(x, y))) = (left.peek(), rest.peek()) {
        if a <= y && x <= b {
            return Some(a.max(x));
        }
        match a <= x {
            true => left.next(),
            false => rest.next(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!((count("", 3), count("0,2-4", 5), count("0-1", 2)), (Ok(0), Ok(4), Ok(2)));
        for (list, why) in [
            ("a", "cannot convert string to integer for index: \"a\""),
            ("5", "too large index: \"5\""),
            (
                "1-2-3",
                "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
            ),
            ("2-1", "non-increasing order, previous: 2, current: 1"),
            ("1,1", "non-increasing order, previous: 1, current: 1"),
        ] {
            assert_eq!(count(list, 5), Err(why.to_owned()));
        }
        assert_eq!((shared("0,3-4", "1,4", 5), shared("0", "1", 5), shared("x,1", "1", 5)), (Some(4), None, Some(1)));
    }
}
