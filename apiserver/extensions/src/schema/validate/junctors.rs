//! `anyOf`, `oneOf`, `allOf`, `not`.

use super::{Outcome, Place, check as check_branch};
use crate::schema::{Junctors, Node};
use apimachinery::Value;
use apimachinery::field::FieldErrorKind as Kind;

/// Checks the branches; each is judged for itself, without regard to the old value.
pub(super) fn check(junctors: &Junctors, value: &Value, at: &Place<'_>, out: &mut Outcome) {
    any_of(&junctors.any_of, value, at, out);
    one_of(&junctors.one_of, value, at, out);
    all_of(&junctors.all_of, value, at, out);
    if let Some(not) = &junctors.not
        && check_branch(not, value, None, at).errors.is_empty()
    {
        fail(at, out, "must not validate the schema (not)");
    }
}

fn fail(at: &Place<'_>, out: &mut Outcome, message: &str) {
    out.add(at.nowhere(), Kind::Invalid("\"\"".into(), format!("{:?} {message}", at.name())));
}

fn any_of(branches: &[Node], value: &Value, at: &Place<'_>, out: &mut Outcome) {
    let mut best: Option<Outcome> = None;
    for branch in branches {
        let outcome = check_branch(branch, value, None, at);
        if outcome.errors.is_empty() {
            out.matches += outcome.matches;
            return;
        }
        keep_better(&mut best, outcome);
    }
    if let Some(best) = best {
        fail(at, out, "must validate at least one schema (anyOf)");
        out.merge(best);
    }
}

fn one_of(branches: &[Node], value: &Value, at: &Place<'_>, out: &mut Outcome) {
    if branches.is_empty() {
        return;
    }
    let mut best = None;
    let mut valid = 0;
    for branch in branches {
        let outcome = check_branch(branch, value, None, at);
        match outcome.errors.is_empty() {
            true => {
                valid += 1;
                best = None;
                out.matches += outcome.matches;
            }
            false if valid == 0 => keep_better(&mut best, outcome),
            false => {}
        }
    }
    let found = match valid {
        1 => return,
        0 => "Found none valid".to_owned(),
        valid => format!("Found {valid} valid alternatives"),
    };
    fail(at, out, &format!("must validate one and only one schema (oneOf). {found}"));
    if let Some(best) = best {
        out.merge(best);
    }
}

fn all_of(branches: &[Node], value: &Value, at: &Place<'_>, out: &mut Outcome) {
    let mut valid = 0;
    for branch in branches {
        let outcome = check_branch(branch, value, None, at);
        valid += usize::from(outcome.errors.is_empty());
        out.merge(outcome);
    }
    if valid != branches.len() {
        let more = if valid == 0 { ". None validated" } else { "" };
        fail(at, out, &format!("must validate all the schemas (allOf){more}"));
    }
}

fn keep_better(best: &mut Option<Outcome>, outcome: Outcome) {
    if best.as_ref().is_none_or(|best| outcome.matches > best.matches) {
        *best = Some(outcome);
    }
}
