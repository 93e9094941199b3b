//! `Priority`: a pod's priority comes from its class.
//!
//! Upstream: `plugin/pkg/admission/priority/admission.go`.

use crate::denial::forbidden;
use crate::lookup::{get, list, text};
use crate::pod::{is_pod, spec};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;

const CLASSES: (&str, &str, &str) = ("scheduling.k8s.io", "v1", "priorityclasses");
const PREEMPT: &str = "PreemptLowerPriority";

pub(crate) struct Priority {
    store: Store,
}

/// What a class gives a pod.
struct Grade {
    class: String,
    value: i64,
    preemption: String,
}

impl Priority {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn grade(&self, attributes: &Attributes<'_>) -> Result<Grade, Status> {
        let class = text(attributes.object, "/spec/priorityClassName");
        if class.is_empty() {
            return Ok(self.default_grade());
        }
        match get(&self.store, CLASSES, "", class).await? {
            Some(found) => Ok(grade(&found.value())),
            None => Err(forbidden(attributes, &format!("no PriorityClass with name {class} was found"))),
        }
    }

    /// The lowest of the global defaults, should there be several; without any, zero.
    fn default_grade(&self) -> Grade {
        let classes = list(&self.store, CLASSES, None);
        // Looked at for every pod: hardly a class is a default, and most say so in their bytes.
        let may_be_default = |bytes: &[u8]| memchr::memmem::find(bytes, br#""globalDefault":true"#).is_some();
        let defaults = classes.iter().filter(|c| may_be_default(c.json())).map(|c| c.value()).filter(is_global_default);
        defaults.map(|class| grade(&class)).min_by_key(|grade| grade.value).unwrap_or(Grade {
            class: String::new(),
            value: 0,
            preemption: PREEMPT.into(),
        })
    }

    async fn admit_pod(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let given = |key: &str, object: &Value| object.get("spec").and_then(|spec| spec.get(key)).cloned();
        if attributes.operation == Operation::Update {
            // Clients that do not know the fields leave them out.
            for key in ["priority", "preemptionPolicy"] {
                if let (None, Some(old)) = (given(key, attributes.object), given(key, attributes.old_object)) {
                    spec(attributes.object).insert(key.into(), old);
                }
            }
            return Ok(());
        }
        let grade = self.grade(attributes).await?;
        if let Some(priority) =
            given("priority", attributes.object).and_then(|p| p.as_i64()).filter(|p| *p != grade.value)
        {
            let why = format!(
                "the integer value of priority ({priority}) must not be provided in pod spec; priority admission \
                 controller computed {} from the given PriorityClass name",
                grade.value
            );
            return Err(forbidden(attributes, &why));
        }
        let policy = given("preemptionPolicy", attributes.object);
        if let Some(policy) = policy.as_ref().and_then(Value::as_str).filter(|policy| *policy != grade.preemption) {
            let why = format!(
                "the string value of PreemptionPolicy ({policy}) must not be provided in pod spec; priority admission \
                 controller computed {} from the given PriorityClass name",
                grade.preemption
            );
            return Err(forbidden(attributes, &why));
        }
        let spec = spec(attributes.object);
        if !grade.class.is_empty() {
            spec.insert("priorityClassName".into(), grade.class.into());
        }
        spec.insert("priority".into(), grade.value.into());
        spec.insert("preemptionPolicy".into(), grade.preemption.into());
        Ok(())
    }
}

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let writes = matches!(operation, Operation::Create | Operation::Update);
        writes && (is_pod(context) || context.resource.plural == CLASSES.2)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        match is_pod(attributes.context) {
            true => self.admit_pod(attributes).await,
            false => Ok(()),
        }
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        if is_pod(attributes.context) || !is_global_default(attributes.object) {
            return Ok(());
        }
        let classes = list(&self.store, CLASSES, None);
        let other = classes.iter().map(|c| c.value()).find(|c| is_global_default(c) && c.name() != attributes.name);
        match other {
            None => Ok(()),
            Some(class) => {
                let why =
                    format!("PriorityClass {} is already marked as default. Only one default can exist", class.name());
                Err(forbidden(attributes, &why))
            }
        }
    }
}

fn grade(class: &Value) -> Grade {
    let preemption = text(class, "/preemptionPolicy");
    Grade {
        class: class.name().to_owned(),
        value: class.get("value").and_then(Value::as_i64).unwrap_or_default(),
        preemption: if preemption.is_empty() { PREEMPT } else { preemption }.to_owned(),
    }
}

fn is_global_default(class: &Value) -> bool {
    class.get("globalDefault").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, create};
    use serde_json::json;

    fn class(name: &str, value: i64, default: bool) -> Value {
        json!({"metadata": {"name": name}, "value": value, "globalDefault": default})
    }

    async fn plugin() -> (Cluster, Priority) {
        let cluster = Cluster::start().await;
        cluster.add("scheduling.k8s.io/priorityclasses", class("high", 1000, false)).await;
        cluster.add("scheduling.k8s.io/priorityclasses", class("usual", 7, true)).await;
        let plugin = Priority::new(cluster.store.clone());
        (cluster, plugin)
    }

    #[tokio::test]
    async fn classes_give_priorities() {
        let (_cluster, plugin) = plugin().await;
        for (spec, want) in [
            (json!({"priorityClassName": "high"}), Ok((1000, "high"))),
            (json!({}), Ok((7, "usual"))),
            (json!({"priorityClassName": "none"}), Err("no PriorityClass with name none was found")),
            (json!({"priority": 5}), Err("the integer value of priority (5) must not be provided")),
            (json!({"preemptionPolicy": "Never"}), Err("the string value of PreemptionPolicy (Never)")),
            (json!({"preemptionPolicy": ""}), Err("the string value of PreemptionPolicy ()")),
        ] {
            let made = create(&plugin, "/pods", json!({"metadata": {"name": "p"}, "spec": spec})).await;
            match (made, want) {
                (Ok(pod), Ok((value, class))) => {
                    assert_eq!(
                        (&pod["spec"]["priority"], text(&pod, "/spec/priorityClassName")),
                        (&json!(value), class)
                    );
                    assert_eq!(pod["spec"]["preemptionPolicy"], PREEMPT);
                }
                (Err(status), Err(text)) => assert!(status.code == 403 && status.message.contains(text), "{status}"),
                (made, want) => panic!("{made:?}, wanted {want:?}"),
            }
        }
    }

    #[tokio::test]
    async fn there_is_one_default() {
        let (_cluster, plugin) = plugin().await;
        let second = create(&plugin, "scheduling.k8s.io/priorityclasses", class("second", 1, true)).await;
        assert!(second.expect_err("refused").message.contains("usual is already marked as default"));
    }
}
