use super::*;
use crate::testing::{Cluster, context, run};
use serde_json::json;

async fn plugin_with(labels: Value, configuration: Configuration) -> (Cluster, PodSecurity) {
    let cluster = Cluster::start().await;
    cluster.add("/namespaces", json!({"metadata": {"name": "ns", "labels": labels}})).await;
    let plugin = PodSecurity::new(cluster.store.clone(), configuration, Arc::default());
    (cluster, plugin)
}

async fn plugin(labels: Value) -> (Cluster, PodSecurity) {
    plugin_with(labels, Configuration::default()).await
}

fn pod() -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}})
}

async fn create(plugin: &PodSecurity, pod: Value) -> Result<Value, Status> {
    run(plugin, &context("/pods", "", "tester"), Operation::Create, pod, Value::Null).await
}

fn enforcing(level: &str) -> Value {
    json!({"pod-security.kubernetes.io/enforce": level})
}

#[tokio::test]
async fn the_namespace_decides() {
    let (_cluster, plugin) = plugin(json!({})).await;
    create(&plugin, pod()).await.expect("privileged by default");
    let (_cluster, plugin) = self::plugin(enforcing("restricted")).await;
    let refused = create(&plugin, pod()).await.expect_err("restricted");
    let text = "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false \
                (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities \
                (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or \
                container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set \
                securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    assert_eq!((refused.code, refused.message.as_str()), (403, text));
}

#[tokio::test]
async fn labels_that_cannot_be_read_are_as_strict_as_can_be() {
    let (_cluster, plugin) = plugin(enforcing("strict")).await;
    let refused = create(&plugin, pod()).await.expect_err("restricted");
    assert!(refused.message.contains("violates PodSecurity \"restricted:latest\""), "{}", refused.message);
}

#[tokio::test]
async fn templates_are_warned_about() {
    let (_cluster, plugin) = plugin(enforcing("restricted")).await;
    let cx = context("apps/deployments", "", "u");
    let deployment =
        json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}});
    run(&plugin, &cx, Operation::Create, deployment, Value::Null).await.expect("admitted");
    assert!(cx.warnings.lock()[0].starts_with("would violate PodSecurity \"restricted:latest\": "));
}

#[tokio::test]
async fn updates_count_where_images_change() {
    let (_cluster, plugin) = plugin(enforcing("restricted")).await;
    let with_image = |image: &str| {
        let mut pod = pod();
        pod["spec"]["containers"][0]["image"] = image.into();
        pod
    };
    let cx = context("/pods", "", "tester");
    let mut labelled = with_image("a");
    labelled["metadata"]["labels"] = json!({"a": "b"});
    run(&plugin, &cx, Operation::Update, labelled, with_image("a")).await.expect("nothing of weight changed");
    run(&plugin, &cx, Operation::Update, with_image("b"), with_image("a")).await.expect_err("another image");
    let debug = context("/pods", "ephemeralcontainers", "tester");
    let mut debugged = with_image("a");
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "e", "image": "x"}]);
    run(&plugin, &debug, Operation::Update, debugged, with_image("a")).await.expect_err("a new container");
    assert!(!plugin.handles(Operation::Create, &context("/pods", "binding", "tester")));
    assert!(plugin.handles(Operation::Update, &context("/pods", "resize", "tester")));
}

#[tokio::test]
async fn the_configuration_decides_where_labels_do_not() {
    let configuration = Configuration::parse(&json!({
        "apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
        "defaults": {"enforce": "baseline"}, "exemptions": {"usernames": ["trusted"], "runtimeClasses": ["sandbox"]},
    }))
    .expect("a configuration");
    let (_cluster, plugin) = plugin_with(json!({}), configuration).await;
    create(&plugin, pod()).await.expect("good enough");
    let mut host = pod();
    host["spec"]["hostNetwork"] = true.into();
    let refused = create(&plugin, host.clone()).await.expect_err("baseline");
    assert!(
        refused.message.ends_with("\"baseline:latest\": host namespaces (hostNetwork=true)"),
        "{}",
        refused.message
    );
    let trusted = context("/pods", "", "trusted");
    run(&plugin, &trusted, Operation::Create, host.clone(), Value::Null).await.expect("exempt");
    host["spec"]["runtimeClassName"] = "sandbox".into();
    create(&plugin, host).await.expect("exempt");
}

#[tokio::test]
async fn labels_of_namespaces_are_checked() {
    let (cluster, plugin) = plugin(json!({})).await;
    let cx = context("/namespaces", "", "tester");
    let namespace = |labels: Value| json!({"metadata": {"name": "ns", "labels": labels}});
    let refused =
        run(&plugin, &cx, Operation::Create, namespace(enforcing("x")), Value::Null).await.expect_err("unreadable");
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (
            422,
            "Namespace \"ns\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"x\": must be \
             one of privileged, baseline, restricted"
        )
    );
    // Who does not make it worse may change other things.
    run(&plugin, &cx, Operation::Update, namespace(enforcing("x")), namespace(enforcing("x")))
        .await
        .expect("as before");
    let replica = |name: &str, owner: &str| {
        json!({"metadata": {"name": name, "namespace": "ns", "ownerReferences": [{"uid": owner, "controller": true}]},
            "spec": {"hostPID": true, "containers": [{"name": "c"}]}})
    };
    for (name, owner) in [("a", "1"), ("b", "1"), ("c", "2")] {
        cluster.add("/pods", replica(name, owner)).await;
    }
    run(&plugin, &cx, Operation::Update, namespace(enforcing("baseline")), namespace(json!({})))
        .await
        .expect("admitted");
    assert_eq!(
        *cx.warnings.lock(),
        [
            "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "a (and 2 other pods): host namespaces"
        ]
    );
}
