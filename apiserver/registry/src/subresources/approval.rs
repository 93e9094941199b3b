//! `certificatesigningrequests/approval`: the verdict, and nothing else.
//!
//! Upstream: `pkg/registry/certificates/certificates/strategy.go`.

use crate::strategies::member;
use crate::strategy::keep_all_but;
use apimachinery::Value;

/// Of a request's new state only the conditions count.
pub(crate) fn keep_verdict_only(new: &mut Value, old: &Value) {
    let conditions = new.pointer("/status/conditions").cloned();
    keep_all_but(new, old, &["metadata"]);
    crate::metadata::set_or_remove(member(new, "status"), "conditions", conditions.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_approver_writes_no_certificate() {
        let old = json!({"metadata": {}, "spec": {"request": "r"}, "status": {}});
        let approved = json!([{"type": "Approved"}]);
        let mut new =
            json!({"metadata": {}, "spec": {"request": "x"}, "status": {"certificate": "c", "conditions": approved}});
        keep_verdict_only(&mut new, &old);
        assert_eq!(new, json!({"metadata": {}, "spec": {"request": "r"}, "status": {"conditions": approved}}));
    }
}
