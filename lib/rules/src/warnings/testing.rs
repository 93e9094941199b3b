//! What a check says, for tests.

use super::Sink;

/// All texts of a check.
pub(super) fn said(check: impl FnOnce(&mut Sink<'_>)) -> Vec<String> {
    let mut said = Vec::new();
    check(&mut |text| said.push(text));
    said
}
