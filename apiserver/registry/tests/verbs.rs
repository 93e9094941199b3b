//! The verbs over a store in memory.

use apimachinery::Value;
use apimachinery::codec::FieldValidation;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources;
use apimachinery::status::Status;
use apiserver_registry::admission::Chain;
use apiserver_registry::{
    Body, Context, Format, Options, PatchType, Registry, Reply, Reviewer, TokenIssuer, UserInfo, Verb,
};
use apiserver_storage::{ListQuery, Match, Store};
use component::Supervisor;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Server {
    registry: Registry,
    _supervisor: Supervisor,
}

/// What a request is about: `group/plural`, name and subresource.
struct On<'a>(&'a str, &'a str, &'a str);

impl Server {
    async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    async fn start_with(options: Options) -> Self {
        let supervisor = Supervisor::new();
        let store = Store::in_memory(resources::builtin(), supervisor.clone()).await.expect("a store");
        Self { registry: Registry::new(store, Chain::default(), options), _supervisor: supervisor }
    }

    fn context(&self, On(resource, name, subresource): On<'_>, verb: Verb) -> Context {
        let (group, plural) = resource.split_once('/').expect("group/plural");
        let resource = resources::builtin().iter().find(|r| r.group == group && r.plural == plural).expect("served");
        Context {
            user: Arc::new(UserInfo { name: "tester".into(), ..UserInfo::default() }),
            verb,
            resource: resource.clone(),
            subresource: resource.subresource(subresource).cloned(),
            namespace: if resource.namespaced { "default".into() } else { String::new() },
            name: name.into(),
            dry_run: false,
            field_manager: String::new(),
            field_validation: FieldValidation::Strict,
            deadline: Instant::now() + Duration::from_secs(60),
            warnings: Default::default(),
            annotations: None,
        }
    }

    async fn create(&self, resource: &str, value: Value) -> Result<Value, Status> {
        let cx = self.context(On(resource, "", ""), Verb::Create);
        self.registry.create(&cx, body(&value)).await.map(tree)
    }

    async fn post(&self, on: On<'_>, value: Value) -> Result<Value, Status> {
        let cx = self.context(on, Verb::Create);
        self.registry.create(&cx, body(&value)).await.map(tree)
    }

    async fn get(&self, resource: &str, name: &str) -> Result<Value, Status> {
        let cx = self.context(On(resource, name, ""), Verb::Get);
        self.registry.get(&cx, Match::MostRecent).await.map(tree)
    }

    async fn put(&self, on: On<'_>, value: &Value) -> Result<Value, Status> {
        let cx = self.context(on, Verb::Update);
        self.registry.update(&cx, body(value)).await.map(tree)
    }

    async fn merge(&self, on: On<'_>, value: Value) -> Result<Value, Status> {
        let cx = self.context(on, Verb::Patch);
        self.registry.patch(&cx, PatchType::Merge, false, body(&value)).await.map(tree)
    }

    async fn delete(&self, resource: &str, name: &str, options: Value) -> Result<Value, Status> {
        let cx = self.context(On(resource, name, ""), Verb::Delete);
        self.registry.delete(&cx, &options).await.map(tree)
    }
}

fn body(value: &Value) -> Body {
    Body { bytes: value.to_string().into(), format: Format::Json }
}

fn tree(reply: Reply) -> Value {
    match reply {
        Reply::Object(object) => object.value(),
        Reply::Value { value, .. } => value,
        Reply::Created(reply) | Reply::Accepted(reply) => tree(*reply),
    }
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 30, "containers": [{"name": "c", "image": "i"}]}})
}

fn refusal(result: Result<Value, Status>) -> (u16, String) {
    let status = result.expect_err("refused");
    (status.code, status.message)
}

#[tokio::test]
async fn a_configmap_lives_and_dies() {
    let server = Server::start().await;
    let made =
        server.create("/configmaps", json!({"metadata": {"name": "a"}, "data": {"k": "v"}})).await.expect("created");
    assert_eq!((made.name(), made.namespace(), made["kind"].as_str()), ("a", "default", Some("ConfigMap")));
    assert!(!made.uid().is_empty() && !made.resource_version().is_empty());
    assert_eq!(server.get("/configmaps", "a").await.expect("there"), made);
    let again = refusal(server.create("/configmaps", json!({"metadata": {"name": "a"}})).await);
    assert_eq!(again, (409, "configmaps \"a\" already exists".into()));

    let mut changed = made.clone();
    changed["data"]["k"] = "w".into();
    let changed = server.put(On("/configmaps", "a", ""), &changed).await.expect("updated");
    assert_ne!(changed.resource_version(), made.resource_version());
    let stale = refusal(server.put(On("/configmaps", "a", ""), &made).await);
    assert!(stale.0 == 409 && stale.1.contains("please apply your changes to the latest version"), "{stale:?}");

    let merged =
        server.merge(On("/configmaps", "a", ""), json!({"data": {"k": null, "x": "y"}})).await.expect("patched");
    assert_eq!(merged["data"], json!({"x": "y"}));

    let gone = server.delete("/configmaps", "a", json!({})).await.expect("deleted");
    assert_eq!((&gone["status"], &gone["details"]["kind"]), (&json!("Success"), &json!("configmaps")));
    assert_eq!(refusal(server.get("/configmaps", "a").await), (404, "configmaps \"a\" not found".into()));
    assert_eq!(refusal(server.delete("/configmaps", "a", json!({})).await).0, 404);
}

#[tokio::test]
async fn bodies_are_checked() {
    let server = Server::start().await;
    for (value, code, text) in [
        (json!({"kind": "Secret", "apiVersion": "v1"}), 400, "cannot be handled as a ConfigMap"),
        (
            json!({"kind": "ConfigMap", "apiVersion": "v2"}),
            400,
            "no kind \"ConfigMap\" is registered for version \"v2\"",
        ),
        (json!({"metadata": {"name": "a"}, "x": 1}), 400, "strict decoding error: unknown field \"x\""),
        (
            json!({"metadata": {"name": "a", "namespace": "b"}}),
            400,
            "the namespace of the provided object does not match",
        ),
        (json!({"metadata": {"name": "a", "resourceVersion": "5"}}), 500, "resourceVersion should not be set"),
    ] {
        let (got, message) = refusal(server.create("/configmaps", value).await);
        assert!(got == code && message.contains(text), "{got} {message}");
    }
    let cx = server.context(On("/configmaps", "", ""), Verb::Create);
    let broken = Body { bytes: "{\"a".into(), format: Format::Json };
    let status = server.registry.create(&cx, broken).await.expect_err("refused");
    assert!(status.message.starts_with("the object provided is unrecognized (must be of type ConfigMap)"), "{status}");
}

#[tokio::test]
async fn revisions_of_new_objects_are_looked_at_last() {
    let server = Server::start().await;
    server.create("/configmaps", json!({"metadata": {"name": "taken"}})).await.expect("created");
    let with = |name: &str, version: &str| json!({"metadata": {"name": name, "resourceVersion": version}});
    for (name, version, code) in [("_", "5", 422), ("taken", "5", 500), ("taken", "0", 409), ("taken", "x", 409)] {
        let (got, message) = refusal(server.create("/configmaps", with(name, version)).await);
        assert_eq!(got, code, "{name} {version}: {message}");
    }
    let mut cx = server.context(On("/configmaps", "", ""), Verb::Create);
    cx.dry_run = true;
    let tried = server.registry.create(&cx, body(&with("new", "5"))).await.map(tree).expect("nothing is stored");
    assert_eq!(tried.resource_version(), "5");
    let made = server.create("/configmaps", with("new", "x")).await.expect("what is no number is none");
    assert!(made.resource_version().parse::<u64>().is_ok(), "{made}");
    let (code, message) = refusal(server.put(On("/configmaps", "new", ""), &with("new", "x")).await);
    assert_eq!((code, message.as_str()), (500, "strconv.ParseUint: parsing \"x\": invalid syntax"));
}

#[tokio::test]
async fn names_of_objects_that_are_going_are_taken() {
    let server = Server::start().await;
    let held = json!({"metadata": {"name": "a", "finalizers": ["example.com/held"]}});
    server.create("/configmaps", held.clone()).await.expect("created");
    server.delete("/configmaps", "a", json!({})).await.expect("marked");
    let again = refusal(server.create("/configmaps", held).await);
    assert_eq!(again, (409, "object is being deleted: configmaps \"a\" already exists".into()));
}

#[tokio::test]
async fn endpoints_go_with_their_service() {
    let server = Server::start().await;
    let headless = |finalizers: &[&str]| {
        json!({"metadata": {"name": "s", "finalizers": finalizers},
            "spec": {"clusterIP": "None", "ports": [{"port": 80}]}})
    };
    let endpoints = json!({"metadata": {"name": "s"}});
    server.create("/services", headless(&[])).await.expect("created");
    server.create("/endpoints", endpoints.clone()).await.expect("created");
    let tried = server.delete("/services", "s", json!({"dryRun": ["All"]})).await;
    assert!(tried.is_ok() && server.get("/endpoints", "s").await.is_ok(), "{tried:?}");
    server.delete("/services", "s", json!({})).await.expect("deleted");
    assert_eq!(refusal(server.get("/endpoints", "s").await).0, 404);

    server.create("/services", headless(&["example.com/held"])).await.expect("created");
    server.create("/endpoints", endpoints).await.expect("created");
    server.delete("/services", "s", json!({})).await.expect("marked");
    assert!(server.get("/endpoints", "s").await.is_ok(), "the service is still there");
    server.merge(On("/services", "s", ""), json!({"metadata": {"finalizers": null}})).await.expect("gone");
    assert_eq!(refusal(server.get("/endpoints", "s").await).0, 404);
    assert_eq!(refusal(server.get("/services", "s").await).0, 404);
}

/// Answers what it is asked.
struct Echo;

#[async_trait::async_trait]
impl Reviewer for Echo {
    async fn review(&self, _: &Context, review: Value) -> Result<Value, Status> {
        Ok(review)
    }
}

#[tokio::test]
async fn reviews_tell_who_asked_for_what() {
    let server = Server::start_with(Options { reviewer: Some(Arc::new(Echo)), ..Options::default() }).await;
    let asked = json!({"metadata": {"uid": "forged", "deletionGracePeriodSeconds": 5}, "spec": {"token": "t"}});
    let answer = server.create("authentication.k8s.io/tokenreviews", asked).await.expect("answered");
    let managed = &answer["metadata"]["managedFields"];
    assert_eq!(managed[0]["fieldsV1"], json!({"f:spec": {"f:token": {}}}), "{answer}");
    assert_eq!((managed[0]["operation"].as_str(), answer["metadata"].get("uid")), (Some("Update"), None));
}

#[async_trait::async_trait]
impl TokenIssuer for Echo {
    async fn issue(&self, _: &Context, _: &Value, request: Value) -> Result<Value, Status> {
        Ok(request)
    }
}

#[tokio::test]
async fn token_requests_are_of_their_account() {
    let server = Server::start_with(Options { token_issuer: Some(Arc::new(Echo)), ..Options::default() }).await;
    let account = server.create("/serviceaccounts", json!({"metadata": {"name": "a"}})).await.expect("created");
    let post = |metadata: Value| {
        server.post(
            On("/serviceaccounts", "a", "token"),
            json!({"metadata": metadata, "spec": {"expirationSeconds": 600}}),
        )
    };
    let answer = post(json!({"labels": {"x": "y"}})).await.expect("answered");
    assert_eq!((answer.name(), answer.namespace(), answer.uid()), ("a", "default", account.uid()));
    assert!(
        answer["metadata"]["creationTimestamp"].is_string() && answer["metadata"]["labels"]["x"] == "y",
        "{answer}"
    );
    let managed = &answer["metadata"]["managedFields"][0];
    assert_eq!(
        (managed["apiVersion"].as_str(), managed["subresource"].as_str()),
        (Some("authentication.k8s.io/v1"), Some("token"))
    );
    assert_eq!(managed["fieldsV1"]["f:spec"], json!({"f:expirationSeconds": {}}));
    for (metadata, code, want) in [
        (json!({"name": "b"}), 422, "must match the service account name if specified"),
        (json!({"namespace": "other"}), 400, "does not match the namespace sent on the request"),
        (json!({"uid": "u"}), 409, "the UID in the token request (u) does not match the UID of the service account"),
    ] {
        let (given, message) = refusal(post(metadata).await);
        assert!(given == code && message.contains(want), "{message}");
    }
}

#[tokio::test]
async fn names_are_generated() {
    let server = Server::start().await;
    let made = server.create("/configmaps", json!({"metadata": {"generateName": "x-"}})).await.expect("created");
    assert!(made.name().starts_with("x-") && made.name().len() == 7, "{}", made.name());
}

#[tokio::test]
async fn a_pod_is_scheduled_reported_and_deleted_with_grace() {
    let server = Server::start().await;
    let made = server.create("/pods", pod("p")).await.expect("created");
    assert_eq!((&made["status"]["phase"], &made["status"]["qosClass"]), (&json!("Pending"), &json!("BestEffort")));
    assert_eq!(made["metadata"]["generation"], 1);

    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    server.post(On("/pods", "p", "binding"), binding.clone()).await.expect("bound");
    let twice = refusal(server.post(On("/pods", "p", "binding"), binding).await);
    assert!(twice.0 == 409 && twice.1.contains("already assigned to node \"n1\""), "{twice:?}");

    let running =
        server.merge(On("/pods", "p", "status"), json!({"spec": {"nodeName": "x"}, "status": {"phase": "Running"}}));
    let running = running.await.expect("reported");
    assert_eq!((&running["spec"]["nodeName"], &running["status"]["phase"]), (&json!("n1"), &json!("Running")));

    let dying = server.delete("/pods", "p", json!({})).await.expect("marked");
    assert_eq!(dying["metadata"]["deletionGracePeriodSeconds"], 30);
    assert!(dying.is_deleting());
    assert_eq!(dying["metadata"]["generation"], 2);
    server.delete("/pods", "p", json!({"gracePeriodSeconds": 0})).await.expect("deleted");
    assert_eq!(refusal(server.get("/pods", "p").await).0, 404);
}

#[tokio::test]
async fn preconditions_and_finalizers_hold_a_deletion() {
    let server = Server::start().await;
    let held = json!({"metadata": {"name": "a", "finalizers": ["example.com/f"]}});
    server.create("/configmaps", held).await.expect("created");
    let wrong = refusal(server.delete("/configmaps", "a", json!({"preconditions": {"uid": "other"}})).await);
    assert!(wrong.0 == 409 && wrong.1.contains("the UID in the precondition (other)"), "{wrong:?}");
    let marked = server.delete("/configmaps", "a", json!({})).await.expect("marked");
    assert!(marked.is_deleting());
    let mut cx = server.context(On("/configmaps", "a", ""), Verb::Delete);
    for dry_run in [true, false] {
        cx.dry_run = dry_run;
        let cascading = server.registry.delete(&cx, &json!({"orphanDependents": false})).await.expect("still marked");
        assert!(matches!(cascading, Reply::Accepted(_)), "dry run: {dry_run}");
    }
    server.merge(On("/configmaps", "a", ""), json!({"metadata": {"finalizers": null}})).await.expect("released");
    assert_eq!(refusal(server.get("/configmaps", "a").await).0, 404);
}

#[tokio::test]
async fn workloads_count_generations_and_scale() {
    let server = Server::start().await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let set = json!({"metadata": {"name": "d"}, "status": {"replicas": 9},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}});
    let made = server.create("apps/deployments", set).await.expect("created");
    assert_eq!((&made["metadata"]["generation"], made["status"].get("replicas")), (&json!(1), None));
    let scale = json!({"spec": {"replicas": 3}});
    let scaled = server.merge(On("apps/deployments", "d", "scale"), scale).await.expect("scaled");
    assert_eq!(
        (&scaled["kind"], &scaled["spec"]["replicas"], &scaled["status"]["selector"]),
        (&json!("Scale"), &json!(3), &json!("a=b"))
    );
    let after = server.get("apps/deployments", "d").await.expect("there");
    assert_eq!((&after["metadata"]["generation"], &after["spec"]["replicas"]), (&json!(2), &json!(3)));
    let reported = server.merge(On("apps/deployments", "d", "status"), json!({"status": {"replicas": 3}})).await;
    assert_eq!(reported.expect("reported")["metadata"]["generation"], 2);
    let foreground = server.delete("apps/deployments", "d", json!({"propagationPolicy": "Foreground"})).await;
    assert_eq!(foreground.expect("marked").finalizers(), ["foregroundDeletion"]);
}

#[tokio::test]
async fn dry_runs_leave_no_trace() {
    let server = Server::start().await;
    let mut cx = server.context(On("/configmaps", "", ""), Verb::Create);
    cx.dry_run = true;
    let tried = server
        .registry
        .create(&cx, body(&json!({"metadata": {"name": "a"}, "data": {"k": "v"}})))
        .await
        .map(tree)
        .expect("tried");
    assert!(!tried.uid().is_empty());
    assert!(tried.pointer("/metadata/managedFields/0/fieldsV1").is_some_and(Value::is_object), "{tried}");
    assert_eq!(refusal(server.get("/configmaps", "a").await).0, 404);
    server.create("/configmaps", json!({"metadata": {"name": "a"}})).await.expect("created");
    server.delete("/configmaps", "a", json!({"dryRun": ["All"]})).await.expect("tried");
    server.get("/configmaps", "a").await.expect("still there");
}

#[tokio::test]
async fn services_get_addresses_of_their_own() {
    let server = Server::start().await;
    let service = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let ports = json!([{"port": 80, "protocol": "TCP", "targetPort": 80}]);
    let made =
        server.create("/services", service("a", json!({"type": "NodePort", "ports": ports}))).await.expect("created");
    let address = made["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    assert!(address.starts_with("10.0.0."), "{address}");
    let port = made["spec"]["ports"][0]["nodePort"].clone();
    assert!((30000..=32767).contains(&port.as_u64().expect("a port")));
    let parent = server.get("networking.k8s.io/ipaddresses", &address).await.expect("reserved");
    assert_eq!(parent["spec"]["parentRef"]["name"], "a");

    let taken = server.create("/services", service("b", json!({"clusterIP": address, "ports": ports}))).await;
    let taken = refusal(taken);
    assert!(taken.0 == 422 && taken.1.ends_with("provided IP is already allocated"), "{taken:?}");
    let taken = json!([{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": port}]);
    let taken = refusal(server.create("/services", service("b", json!({"type": "NodePort", "ports": taken}))).await);
    assert!(taken.0 == 422 && taken.1.ends_with("provided port is already allocated"), "{taken:?}");

    let headless =
        server.create("/services", service("h", json!({"clusterIP": "None", "ports": ports}))).await.expect("created");
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));

    server.delete("/services", "a", json!({})).await.expect("deleted");
    assert_eq!(refusal(server.get("networking.k8s.io/ipaddresses", &address).await).0, 404);
    server.create("/services", service("c", json!({"clusterIP": address, "ports": ports}))).await.expect("free again");
}

#[tokio::test]
async fn jobs_share_the_labels_of_their_template() {
    let server = Server::start().await;
    let template = json!({"metadata": {"labels": {"a": "b"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let job = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}, "spec": {"template": template}});
    let shared = server.create("batch/jobs", job("j", Value::Null)).await.expect("created");
    assert_eq!(shared["metadata"]["labels"], shared["spec"]["template"]["metadata"]["labels"]);
    assert_eq!(shared["metadata"]["labels"]["job-name"], "j");
    // The one who made the job owns what its template gave.
    let owned = &shared["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"];
    assert_eq!(*owned, json!({".": {}, "f:a": {}}));
    let own = server.create("batch/jobs", job("k", json!({"a": "b"}))).await.expect("created");
    assert_eq!(own["metadata"]["labels"], json!({"a": "b"}));
}

#[tokio::test]
async fn services_get_addresses_of_every_range_that_is_ready() {
    let server = Server::start().await;
    let cidr = async |name: &str, range: &str, status: &str| {
        let condition = json!({"type": "Ready", "status": status, "reason": "r", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let object =
            json!({"metadata": {"name": name}, "spec": {"cidrs": [range]}, "status": {"conditions": [condition]}});
        let made = server.create("networking.k8s.io/servicecidrs", object).await.expect("created");
        let on = On("networking.k8s.io/servicecidrs", name, "status");
        let cx = server.context(on, Verb::Update);
        let mut with_status = made;
        with_status["status"] = json!({"conditions": [condition]});
        server.registry.update(&cx, body(&with_status)).await.expect("updated");
        // A consistent read returns when the cache has caught up.
        server.get("networking.k8s.io/servicecidrs", name).await.expect("there");
    };
    let service = |name: &str, address: &str| {
        let ports = json!([{"port": 80, "protocol": "TCP", "targetPort": 80}]);
        let address = if address.is_empty() { json!({}) } else { json!({"clusterIP": address}) };
        let mut service = json!({"metadata": {"name": name}, "spec": address});
        service["spec"]["ports"] = ports;
        service
    };
    cidr("kubernetes", "10.0.0.0/30", "True").await;
    cidr("unready", "10.2.0.0/24", "False").await;
    for name in ["a", "b"] {
        server.create("/services", service(name, "")).await.expect("room for two");
    }
    let full = refusal(server.create("/services", service("c", "")).await);
    assert_eq!(
        full,
        (500, "Internal error occurred: failed to allocate a serviceIP for Service \"c\": range is full".into())
    );
    cidr("more", "10.1.0.0/24", "True").await;
    let made = server.create("/services", service("c", "")).await.expect("room again");
    let given = made["spec"]["clusterIP"].as_str().expect("an address");
    assert!(given.starts_with("10.1.0."), "{made}");
    // The server chooses at random: the address asked for must not be the one it gave.
    let free = if given == "10.1.0.200" { "10.1.0.201" } else { "10.1.0.200" };
    server.create("/services", service("d", free)).await.expect("its own choice");
    for address in ["10.2.0.1", "10.9.0.1", "10.1.0.0", "10.1.0.255"] {
        let refused = refusal(server.create("/services", service("e", address)).await);
        let want = format!("failed to allocate IP {address}: the provided network does not match the current range");
        assert!(refused.0 == 422 && refused.1.ends_with(&want), "{refused:?}");
    }
}

#[tokio::test]
async fn leases_are_created_by_put_and_need_a_version() {
    let server = Server::start().await;
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}});
    server.put(On("coordination.k8s.io/leases", "l", ""), &lease).await.expect("created");
    let unversioned = refusal(server.put(On("coordination.k8s.io/leases", "l", ""), &lease).await);
    assert!(unversioned.0 == 422 && unversioned.1.contains("must be specified for an update"), "{unversioned:?}");
}

#[tokio::test]
async fn events_are_one_object_in_two_groups() {
    let server = Server::start().await;
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "message": "hello", "reason": "R", "type": "Normal"});
    server.create("/events", event).await.expect("created");
    let other = server.get("events.k8s.io/events", "e").await.expect("the same");
    assert_eq!(
        (&other["apiVersion"], &other["note"], &other["regarding"]["name"]),
        (&json!("events.k8s.io/v1"), &json!("hello"), &json!("p"))
    );
}

#[tokio::test]
async fn namespaces_wait_for_finalization() {
    let server = Server::start().await;
    let made = server.create("/namespaces", json!({"metadata": {"name": "n"}})).await.expect("created");
    assert_eq!((&made["spec"]["finalizers"], &made["status"]["phase"]), (&json!(["kubernetes"]), &json!("Active")));
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "n");
    let marked = server.delete("/namespaces", "n", json!({})).await.expect("marked");
    assert_eq!(marked["status"]["phase"], "Terminating");
    let mut empty = marked.clone();
    empty["spec"]["finalizers"] = json!([]);
    server.put(On("/namespaces", "n", "finalize"), &empty).await.expect("finalized");
    assert_eq!(refusal(server.get("/namespaces", "n").await).0, 404);
}

#[tokio::test]
async fn evictions_ask_the_budget() {
    let server = Server::start().await;
    let mut labelled = pod("p");
    labelled["metadata"]["labels"] = json!({"a": "b"});
    server.create("/pods", labelled).await.expect("created");
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    server.merge(On("/pods", "p", "status"), status).await.expect("running");
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}});
    server.create("policy/poddisruptionbudgets", budget).await.expect("created");
    let observe = |allowed: i64| {
        json!({"status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "desiredHealthy": 1,
        "currentHealthy": 1, "expectedPods": 1}})
    };
    let on_budget = || On("policy/poddisruptionbudgets", "b", "status");
    server.merge(on_budget(), observe(0)).await.expect("observed");
    let eviction = json!({"metadata": {"name": "p"}});
    let refused = refusal(server.post(On("/pods", "p", "eviction"), eviction.clone()).await);
    assert_eq!(refused, (429, "Cannot evict pod as it would violate the pod's disruption budget.".into()));
    server.merge(on_budget(), observe(1)).await.expect("observed");
    server.post(On("/pods", "p", "eviction"), eviction).await.expect("evicted");
    assert_eq!(refusal(server.get("/pods", "p").await).0, 404);
}

#[tokio::test]
async fn unready_pods_are_evicted_as_they_are_seen() {
    let server = Server::start().await;
    let mut labelled = pod("p");
    labelled["metadata"]["labels"] = json!({"a": "b"});
    server.create("/pods", labelled).await.expect("created");
    server.merge(On("/pods", "p", "status"), json!({"status": {"phase": "Running"}})).await.expect("running");
    let budget = json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow"}});
    server.create("policy/poddisruptionbudgets", budget).await.expect("created");
    let eviction =
        |preconditions: Value| json!({"metadata": {"name": "p"}, "deleteOptions": {"preconditions": preconditions}});
    // Another pod than the client means is not marked, and neither is one that only might be evicted.
    let other = refusal(server.post(On("/pods", "p", "eviction"), eviction(json!({"uid": "other"}))).await);
    assert_eq!(other.0, 429);
    let trial = json!({"metadata": {"name": "p"}, "deleteOptions": {"dryRun": ["All"]}});
    server.post(On("/pods", "p", "eviction"), trial).await.expect("it could be");
    let kept = server.get("/pods", "p").await.expect("still there");
    assert_eq!(kept.pointer("/status/conditions"), None);
    // Which version goes is not the client's choice: it is the one that has been looked at.
    server.post(On("/pods", "p", "eviction"), eviction(json!({"resourceVersion": "1"}))).await.expect("evicted");
    assert_eq!(refusal(server.get("/pods", "p").await).0, 404);
}

#[tokio::test]
async fn collections_are_deleted_by_selection() {
    let server = Server::start().await;
    for (name, label) in [("a", "x"), ("b", "x"), ("c", "y")] {
        server
            .create("/configmaps", json!({"metadata": {"name": name, "labels": {"l": label}}}))
            .await
            .expect("created");
    }
    let cx = server.context(On("/configmaps", "", ""), Verb::DeleteCollection);
    let mut query = ListQuery::default();
    query.selection.labels = apimachinery::selector::LabelSelector::parse("l=x").expect("a selector");
    let page = server.registry.delete_collection(&cx, &json!({}), &query).await.expect("deleted");
    assert_eq!(page.items.len(), 2);
    assert_eq!(refusal(server.get("/configmaps", "a").await).0, 404);
    server.get("/configmaps", "c").await.expect("still there");
}

#[tokio::test]
async fn patches_of_every_kind() {
    let server = Server::start().await;
    server.create("/pods", pod("p")).await.expect("created");
    let patch = async |kind: PatchType, value: Value| {
        let cx = server.context(On("/pods", "p", ""), Verb::Patch);
        server.registry.patch(&cx, kind, false, body(&value)).await.map(tree)
    };
    let merged = patch(PatchType::Strategic, json!({"spec": {"containers": [{"name": "c", "image": "j"}]}})).await;
    let merged = merged.expect("merged by name");
    assert_eq!(
        (&merged["spec"]["containers"][0]["image"], &merged["metadata"]["generation"]),
        (&json!("j"), &json!(2))
    );
    let operations = json!([{"op": "test", "path": "/metadata/name", "value": "p"},
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]);
    assert_eq!(patch(PatchType::Json, operations).await.expect("patched")["metadata"]["labels"], json!({"a": "b"}));
    let failing = json!([{"op": "test", "path": "/metadata/name", "value": "other"}]);
    assert_eq!(refusal(patch(PatchType::Json, failing).await).0, 422);
    let stale = json!({"metadata": {"resourceVersion": "1", "labels": {"a": "c"}}});
    assert_eq!(refusal(patch(PatchType::Merge, stale).await).0, 409);
    let unknown = refusal(patch(PatchType::Merge, json!({"spec": {"nonsense": 1}})).await);
    assert!(unknown.0 == 422 && unknown.1.contains("unknown field"), "{unknown:?}");
    let renamed = refusal(patch(PatchType::Merge, json!({"metadata": {"name": "q"}})).await);
    assert!(renamed.0 == 400 && renamed.1.contains("does not match the name on the URL"), "{renamed:?}");
    let kind = refusal(patch(PatchType::Apply, json!({})).await);
    assert!(kind.0 == 400 && kind.1.contains("invalid object type"), "{kind:?}");
}

#[tokio::test]
async fn names_stay_below_their_resource() {
    let server = Server::start().await;
    for (namespace, name, code, want) in [
        ("default", "..", 400, "Name parameter invalid: \"..\": may not be '..'"),
        ("default", "a/%", 400, "Name parameter invalid: \"a/%\": may not contain '/';may not contain '%'"),
        ("..", "x", 500, "invalid key: \"/services/specs/../x\""),
        (".", "..", 400, "Name parameter invalid: \"..\": may not be '..'"),
    ] {
        let cx = |verb| Context { namespace: namespace.into(), ..server.context(On("/services", name, ""), verb) };
        let value = json!({"metadata": {"name": name}, "spec": {}});
        let answers = [
            server.registry.get(&cx(Verb::Get), Match::MostRecent).await,
            server.registry.update(&cx(Verb::Update), body(&value)).await,
            server.registry.patch(&cx(Verb::Patch), PatchType::Merge, false, body(&json!({}))).await,
            server.registry.delete(&cx(Verb::Delete), &json!({})).await,
        ];
        for answer in answers {
            let status = answer.expect_err("refused");
            assert_eq!((status.code, status.message.as_str()), (code, want));
        }
    }
    let cx = Context { namespace: "..".into(), ..server.context(On("/services", "", ""), Verb::List) };
    let status = server.registry.list(&cx, &ListQuery::default()).await.expect_err("refused");
    assert_eq!((status.code, status.message.as_str()), (500, "invalid key: \"/services/specs/..\""));
}
