//! The conditions of an autoscaler.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Sets a condition; its time stays while its status does.
pub(in super::super) fn set(
    status: &mut HorizontalPodAutoscalerStatus,
    kind: &str,
    holds: bool,
    reason: &str,
    message: impl Into<String>,
) {
    let says = if holds { "True" } else { "False" };
    let list = status.conditions.get_or_insert_default();
    let at = list.iter().position(|condition| condition.type_ == kind).unwrap_or_else(|| {
        list.push(HorizontalPodAutoscalerCondition { type_: kind.to_owned(), ..Default::default() });
        list.len() - 1
    });
    let condition = &mut list[at];
    if condition.status != says {
        condition.last_transition_time = Some(Time(Timestamp::now()));
    }
    says.clone_into(&mut condition.status);
    condition.reason = Some(reason.to_owned());
    condition.message = Some(message.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stays_while_the_status_does() {
        let mut status = HorizontalPodAutoscalerStatus::default();
        set(&mut status, "AbleToScale", true, "A", "a");
        let at = status.conditions.as_ref().unwrap()[0].last_transition_time.clone();
        set(&mut status, "AbleToScale", true, "B", "b");
        let condition = &status.conditions.as_ref().unwrap()[0];
        assert_eq!((condition.reason.as_deref(), &condition.last_transition_time), (Some("B"), &at));
        set(&mut status, "AbleToScale", false, "C", "c");
        set(&mut status, "ScalingActive", true, "D", "d");
        assert_eq!(status.conditions.unwrap().iter().map(|c| c.status.as_str()).collect::<Vec<_>>(), ["False", "True"]);
    }
}
