//! How many pods there should be, by what is measured, and how fast they may become more or fewer.

mod conditions;
mod count;
mod history;
mod query;

pub(super) use conditions::set;
pub(super) use count::{
    Measured, Proposal, Sample, Samples, Tolerance, by_ratio, by_share, by_usage, by_utilization, requests,
};
pub(super) use history::{History, Limits, normalize};
pub(super) use query::text as selector_text;
