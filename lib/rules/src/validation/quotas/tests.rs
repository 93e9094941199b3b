//! Quotas and limit ranges, right and wrong.

use super::*;
use serde_json::json;

fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = Report::default();
    check(&mut report);
    report.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn quotas() {
    for (spec, want) in [
        (json!({"hard": {"pods": "1", "count/secrets": "1", "requests.hugepages-2Mi": "2Mi"}}), &[][..]),
        (
            json!({"hard": {"bananas": "1"}}),
            &[
                "spec.hard[bananas]: Invalid value: \"bananas\": must be a standard resource type or fully qualified",
                "spec.hard[bananas]: Invalid value: \"bananas\": must be a standard resource for quota",
            ],
        ),
        (
            json!({"hard": {"services.nodeports": "1500m", "cpu": "-1"}}),
            &[
                "spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
                "spec.hard[services.nodeports]: Invalid value: \"1500m\": must be an integer",
            ],
        ),
        (json!({"scopes": ["x"]}), &["spec.scopes: Invalid value: [\"x\"]: unsupported scope"]),
        (
            json!({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}),
            &["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"],
        ),
        (
            json!({"scopes": ["Terminating", "NotTerminating"]}),
            &["spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes"],
        ),
        (
            json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}}),
            &[
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` \
               is 'In' or 'NotIn' for scope selector",
            ],
        ),
        (
            json!({"scopeSelector": {"matchExpressions": [{"scopeName": "x", "operator": "y"}]}}),
            &[
                "spec.scopeSelector.matchExpressions.scopeName: Invalid value: \"x\": unsupported scope",
                "spec.scopeSelector.matchExpressions.operator: Invalid value: \"y\": not a valid selector operator",
            ],
        ),
    ] {
        assert_eq!(texts(|out| quota(&json!({"spec": spec}), out)), want, "{spec}");
    }
}

#[test]
fn scopes_stay() {
    let with = |scopes: Value| json!({"spec": {"scopes": scopes}});
    let change = |new, old| texts(|out| quota_update(&with(new), &with(old), out)).len();
    assert_eq!(change(json!(["a", "b"]), json!(["b", "a", "a"])), 0);
    assert_eq!(change(json!(["a"]), json!([])) + change(json!([]), json!(["a"])), 2);
}

#[test]
fn limit_ranges() {
    for (limit, want) in [
        (json!({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}}), &[][..]),
        (json!({"type": "example.com/x", "max": {"example.com/y": "2"}}), &[]),
        (
            json!({"type": "Volume"}),
            &["spec.limits[0].type: Invalid value: \"Volume\": must be a standard limit type or fully qualified"],
        ),
        (
            json!({"type": "PersistentVolumeClaim", "max": {"cpu": "1"}}),
            &["spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but \
               neither was provided"],
        ),
        (
            json!({"type": "Pod", "default": {"cpu": "1"}}),
            &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
        ),
        (
            json!({"type": "Pod", "max": {"pods": "1"}}),
            &["spec.limits[0].max[pods]: Invalid value: \"pods\": must be a standard resource for containers"],
        ),
        (
            json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}),
            &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
        ),
        (
            json!({"type": "Container", "default": {"cpu": "3"}, "max": {"cpu": "1"}}),
            &["spec.limits[0].default[cpu]: Invalid value: \"1\": default value 3 is greater than max value 1"],
        ),
        (
            json!({"type": "Pod", "max": {"cpu": "3"}, "min": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "2"}}),
            &["spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"2\": ratio 2 is greater than max/min = \
               1.500000"],
        ),
        (
            json!({"type": "Container", "default": {"a.b/c": "3"}, "defaultRequest": {"a.b/c": "2"}}),
            &["spec.limits[0].defaultRequest[a.b/c]: Invalid value: \"2\": default value 3 must equal to \
               defaultRequest value 2 in a.b/c"],
        ),
    ] {
        assert_eq!(texts(|out| limit_range(&json!({"spec": {"limits": [limit]}}), out)), want, "{limit}");
    }
}
