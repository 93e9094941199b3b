//! Requests through the whole chain, on a store in memory.

mod support;

use apiserver_server::Options;
use http::{Method, StatusCode};
use serde_json::json;
use support::{NOBODY, TestServer};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

#[tokio::test]
async fn an_objects_life() {
    let server = TestServer::start().await;
    let made = server.config_map("a").await;
    let got = server.get(&format!("{MAPS}/a")).await;
    assert_eq!((got.status, got.json()), (StatusCode::OK, made.clone()));
    assert_eq!(got.headers["cache-control"], "no-cache, private");
    assert_eq!(got.headers["audit-id"].len(), 36);
    let mut changed = made;
    changed["data"]["k"] = "w".into();
    let json = [("content-type", "application/json")];
    let put = server.ask(Method::PUT, &format!("{MAPS}/a"), &json, changed.to_string()).await;
    assert_eq!((put.status, &put.json()["data"]["k"]), (StatusCode::OK, &json!("w")));
    let stale = server.ask(Method::PUT, &format!("{MAPS}/a"), &json, changed.to_string()).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.text());
    let deleted = server.ask(Method::DELETE, &format!("{MAPS}/a"), &[], "").await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text());
    let gone = server.get(&format!("{MAPS}/a")).await;
    assert_eq!((gone.status, gone.message()), (StatusCode::NOT_FOUND, "configmaps \"a\" not found".into()));
}

#[tokio::test]
async fn deletes_keep_to_the_preconditions_of_their_address() {
    let server = TestServer::start().await;
    let made = server.config_map("a").await;
    let delete = async |query: &str| server.ask(Method::DELETE, &format!("{MAPS}/a?{query}"), &[], "").await;
    for (query, why) in [
        ("uid=other", "the UID in the precondition (other) does not match"),
        ("resourceVersion=1", "the ResourceVersion in the precondition (1) does not match"),
    ] {
        let refused = delete(query).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{query}");
        assert!(refused.message().contains(why), "{}", refused.message());
    }
    let uid = made["metadata"]["uid"].as_str().expect("a UID");
    assert_eq!(delete(&format!("uid={uid}&resourceVersion=")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn scales_have_tables_and_resizes_do_not() {
    let server = TestServer::start().await;
    let container = json!({"name": "c", "image": "i"});
    let controller = json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "r"}, "spec": {
        "replicas": 2, "selector": {"a": "b"},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}}});
    server.create("/api/v1/namespaces/default/replicationcontrollers", controller).await;
    let scale = "/api/v1/namespaces/default/replicationcontrollers/r/scale";
    let table = server.get_as(scale, TABLE).await.json();
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().expect("columns").iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["Name", "Desired", "Available", "Age"]);
    assert_eq!(
        table["rows"][0]["cells"].as_array().map(|cells| cells[..3].to_vec()),
        Some(vec!["r".into(), 2.into(), 0.into()])
    );
    let misfit = server.get_as(scale, METADATA).await;
    assert_eq!(
        (misfit.status, misfit.message()),
        (
            StatusCode::NOT_ACCEPTABLE,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.Scale)".into()
        )
    );
    let resize = server.get_as("/api/v1/namespaces/default/pods/p/resize", TABLE).await;
    assert_eq!(resize.status, StatusCode::NOT_ACCEPTABLE);
    let none = server.get_as("/api/v1/namespaces/default/limitranges", TABLE).await.json();
    assert_eq!(none["rows"], json!(null));
    assert_eq!(server.get_as(MAPS, TABLE).await.json()["rows"], json!([]));
}

#[tokio::test]
async fn discovery_has_protobuf() {
    let server = TestServer::start().await;
    for (path, kind) in [("/api", "APIVersions"), ("/apis", "APIGroupList"), ("/apis/apps/v1", "APIResourceList")] {
        let answer = server.get_as(path, PROTOBUF).await;
        assert_eq!(answer.headers["content-type"], PROTOBUF, "{path}");
        let envelope = apimachinery::codec::protobuf::open(&answer.body).expect("an envelope");
        assert_eq!(envelope.kind, kind);
        let ty = apimachinery::schema::Schema::builtin()
            .type_named(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"))
            .expect("a type");
        let mut read = apimachinery::codec::protobuf::decode(&ty, envelope.raw).expect("decodes");
        let mut json = server.get(path).await.json();
        for tree in [&mut read, &mut json] {
            for key in ["kind", "apiVersion"] {
                tree.as_object_mut().expect("an object").remove(key);
            }
        }
        // Protobuf tells lists that are empty from none as little as texts.
        let list = json.as_object().expect("an object").values().find_map(|v| v.as_array()).map(Vec::len);
        assert_eq!(
            read.as_object().expect("an object").values().find_map(|v| v.as_array()).map(Vec::len),
            list,
            "{path}"
        );
    }
}

#[tokio::test]
async fn other_components_are_asked() {
    let server = TestServer::start().await;
    let list = server.get("/api/v1/componentstatuses").await.json();
    assert_eq!((&list["kind"], &list["metadata"]), (&json!("ComponentStatusList"), &json!({})));
    let names: Vec<&str> =
        list["items"].as_array().expect("items").iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["controller-manager", "scheduler", "etcd-0"]);
    let etcd = server.get("/api/v1/componentstatuses/etcd-0").await;
    assert_eq!(etcd.headers["warning"], "299 - \"v1 ComponentStatus is deprecated in v1.19+\"");
    let etcd = etcd.json();
    assert_eq!(etcd["conditions"], json!([{"type": "Healthy", "status": "True", "message": "ok"}]));
    let selected = server.get("/api/v1/componentstatuses?fieldSelector=metadata.name%3Detcd-0").await.json();
    assert_eq!(selected["items"].as_array().map(Vec::len), Some(1));
    let none = server.get("/api/v1/componentstatuses?labelSelector=a%3Db").await.json();
    assert_eq!(none["items"], json!([]));
    let table = server.get_as("/api/v1/componentstatuses/etcd-0", TABLE).await.json();
    assert_eq!(table["rows"][0]["cells"], json!(["etcd-0", "Healthy", "ok", ""]));
    let unknown = server.get("/api/v1/componentstatuses/etcd-9").await;
    assert_eq!(
        (unknown.status, unknown.message()),
        (StatusCode::NOT_FOUND, "componentstatus \"etcd-9\" not found".into())
    );
}

#[tokio::test]
async fn lists_in_every_form() {
    let server = TestServer::start().await;
    for name in ["a", "b", "c"] {
        server.config_map(name).await;
    }
    let whole = server.get(MAPS).await;
    let list = whole.json();
    assert_eq!((&list["kind"], list["items"].as_array().map(Vec::len)), (&json!("ConfigMapList"), Some(3)));
    assert_eq!(list["items"][0].get("kind"), None);
    assert_eq!(whole.headers["content-length"], whole.body.len().to_string().as_str());
    let page = server.get(&format!("{MAPS}?limit=2")).await.json();
    assert_eq!(page["metadata"]["remainingItemCount"], 1);
    let next = page["metadata"]["continue"].as_str().expect("a token");
    let rest = server.get(&format!("{MAPS}?limit=2&continue={next}")).await.json();
    assert_eq!(rest["items"][0]["metadata"]["name"], "c");
    let table = server.get_as(MAPS, TABLE).await.json();
    assert_eq!((&table["kind"], &table["rows"][1]["cells"][0]), (&json!("Table"), &json!("b")));
    assert_eq!(table["rows"][1]["object"]["metadata"]["name"], "b");
    let metadata = server.get_as(MAPS, METADATA).await.json();
    assert_eq!(metadata["items"][2]["metadata"]["name"], "c");
    assert_eq!(metadata["items"][2].get("data"), None);
    let yaml = server.get_as(MAPS, "application/yaml").await;
    assert!(yaml.text().starts_with("apiVersion: v1\nitems:\n- "), "{}", yaml.text());
    let selected = server.get(&format!("{MAPS}?labelSelector=app%3Db")).await.json();
    assert_eq!(selected["items"].as_array().map(Vec::len), Some(1));
    let named = server.get(&format!("{MAPS}?fieldSelector=metadata.name%3Da")).await.json();
    assert_eq!(named["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn slices_of_devices_are_selected_by_node_and_driver() {
    const SLICES: &str = "/apis/resource.k8s.io/v1/resourceslices";
    let server = TestServer::start().await;
    for (name, node, driver) in [("a", "n1", "d.example"), ("b", "n2", "d.example"), ("c", "n1", "e.example")] {
        let spec = json!({"driver": driver, "nodeName": node, "devices": [],
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}});
        let slice = json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name}, "spec": spec});
        server.create(SLICES, slice).await;
    }
    for (selector, want) in [
        ("spec.nodeName%3Dn1", json!(["a", "c"])),
        ("spec.driver%3Dd.example", json!(["a", "b"])),
        ("spec.nodeName%3Dn1,spec.driver%3Dd.example", json!(["a"])),
    ] {
        let list = server.get(&format!("{SLICES}?fieldSelector={selector}")).await.json();
        let names: Vec<_> = list["items"].as_array().expect("items").iter().map(|i| &i["metadata"]["name"]).collect();
        assert_eq!(json!(names), want, "{selector}");
    }
}

#[tokio::test]
async fn protobuf_of_objects_and_lists_reads_back() {
    use apimachinery::codec::protobuf;
    let server = TestServer::start().await;
    let made = server.config_map("a").await;
    let schema = apimachinery::schema::Schema::builtin();
    for (path, kind, name) in
        [(format!("{MAPS}/a"), "ConfigMap", "ConfigMap"), (MAPS.to_owned(), "ConfigMapList", "ConfigMapList")]
    {
        let answer = server.get_as(&path, PROTOBUF).await;
        assert_eq!(answer.headers["content-type"], PROTOBUF);
        let envelope = protobuf::open(&answer.body).expect("an envelope");
        assert_eq!((envelope.api_version.as_str(), envelope.kind.as_str()), ("v1", kind));
        let ty = schema.type_named(&format!("io.k8s.api.core.v1.{name}")).expect("a type");
        let value = protobuf::decode(&ty, envelope.raw).expect("a message");
        let object = if kind == "ConfigMapList" { &value["items"][0] } else { &value };
        assert_eq!(object["metadata"], made["metadata"]);
    }
}

#[tokio::test]
async fn bad_input_gets_upstreams_status() {
    let server = TestServer::start().await;
    let json = ("content-type", "application/json");
    let cm = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"foo":1}"#;
    for (method, path, headers, body, code, message) in [
        (
            Method::POST,
            MAPS,
            vec![("content-type", "text/plain")],
            cm,
            415,
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        (
            Method::PATCH,
            "/api/v1/namespaces/default/configmaps/x",
            vec![json],
            "{}",
            415,
            "415: Unsupported Media Type",
        ),
        (
            Method::GET,
            MAPS,
            vec![("accept", "text/html")],
            "",
            406,
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf, application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch",
        ),
        (
            Method::GET,
            "/api/v1/namespaces/default/configmaps/x?resourceVersion=x",
            vec![],
            "",
            500,
            "resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            Method::GET,
            "/api/v1/namespaces/default/configmaps/x?export=",
            vec![],
            "",
            400,
            "the export parameter, deprecated since v1.14, is no longer supported",
        ),
        (
            Method::GET,
            "/api/v1/pods?watch=1&resourceVersion=x",
            vec![],
            "",
            500,
            "resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            Method::GET,
            "/api/v1/pods?watch=1&continue=x",
            vec![],
            "",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
        (
            Method::GET,
            "/api/v1/pods?continue=x",
            vec![],
            "",
            400,
            "invalid continue token: continue key is not valid: illegal base64 data at input byte 0",
        ),
        (
            Method::POST,
            "/api/v1/namespaces/default/configmaps?fieldManager=a%00b&fieldValidation=x",
            vec![json],
            cm,
            422,
            "CreateOptions.meta.k8s.io \"\" is invalid: [fieldManager: Invalid value: \"a\\x00b\": invalid character U+0000 \
             (at position 1), fieldValidation: Unsupported value: \"x\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"]",
        ),
        (
            Method::PATCH,
            "/api/v1/namespaces/default/configmaps/x?force=true&dryRun=Some",
            vec![("content-type", "application/merge-patch+json")],
            "{}",
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: [force: Forbidden: may not be specified for non-apply patch, \
             dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"]",
        ),
        (
            Method::GET,
            "/api/v1/pods?resourceVersionMatch=x&continue=x&sendInitialEvents=1&fieldSelector=spec.x%3D1",
            vec![],
            "",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless \
             resourceVersion is provided, resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is \
             provided, resourceVersionMatch: Unsupported value: \"x\": supported values: \"Exact\", \"NotOlderThan\", \"\", \
             sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list]",
        ),
        (
            Method::GET,
            "/api/v1/pods?watch=1&resourceVersionMatch=x&continue=x&timeout=x",
            vec![],
            "",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch \
             unless sendInitialEvents is provided, resourceVersionMatch: Unsupported value: \"x\": supported values: \
             \"NotOlderThan\", resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided]",
        ),
        (
            Method::GET,
            "/api/v1/pods?labelSelector=,,&limit=x&timeoutSeconds=y",
            vec![],
            "",
            400,
            "strconv.ParseInt: parsing \"y\": invalid syntax",
        ),
        (
            Method::DELETE,
            "/api/v1/namespaces/default/configmaps/x?dryRun=Some&propagationPolicy=x",
            vec![],
            "",
            422,
            "DeleteOptions.meta.k8s.io \"\" is invalid: [propagationPolicy: Unsupported value: \"x\": supported values: \
             \"Foreground\", \"Background\", \"Orphan\", \"nil\", dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"]",
        ),
        (
            Method::GET,
            "/api/v1/pods?timeout=-1s&limit=x",
            vec![],
            "",
            400,
            "strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            Method::GET,
            "/api/v1/pods?timeout=-1",
            vec![],
            "",
            400,
            "invalid timeout specified in the request URL - time: missing unit in duration \"-1\"",
        ),
        (
            Method::GET,
            "/api/v1/namespaces/default/pods/%2e%2e/log",
            vec![],
            "",
            400,
            "Name parameter invalid: \"..\": may not be '..'",
        ),
        (Method::GET, "/api/v1/nothings", vec![], "", 404, "the server could not find the requested resource"),
        (Method::GET, "/api/v1/nodes/x/nothing", vec![], "", 404, "the server could not find the requested resource"),
        (
            Method::POST,
            "/api/v1/configmaps",
            vec![json],
            cm,
            405,
            "the server does not allow this method on the requested resource",
        ),
        (Method::PUT, MAPS, vec![json], cm, 405, "the server does not allow this method on the requested resource"),
        (
            Method::GET,
            "/api/v1/pods?resourceVersion=x",
            vec![],
            "",
            400,
            "invalid resource version: resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            Method::GET,
            "/api/v1/pods?watch=1&sendInitialEvents=true",
            vec![],
            "",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            Method::GET,
            "/api/v1/pods?resourceVersionMatch=Exact",
            vec![],
            "",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (Method::GET, "/api/v1/pods?fieldSelector=spec.x%3D1", vec![], "", 400, "field label not supported: spec.x"),
        (
            Method::GET,
            "/api/v1/configmaps?fieldSelector=spec.x%3D1",
            vec![],
            "",
            400,
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        (
            Method::DELETE,
            "/api/v1/namespaces/default/configmaps/x?dryRun=Some",
            vec![],
            "",
            422,
            "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
        ),
        (Method::GET, "/api/v1/pods", vec![("authorization", "Bearer wrong")], "", 401, "Unauthorized"),
        (
            Method::GET,
            "/api/v1/pods?timeout=abc",
            vec![],
            "",
            400,
            "invalid timeout specified in the request URL - time: invalid duration \"abc\"",
        ),
        (
            Method::GET,
            "/healthz?timeout=-5x",
            vec![("authorization", "Bearer wrong")],
            "",
            400,
            "invalid timeout specified in the request URL - time: unknown unit \"x\" in duration \"-5x\"",
        ),
        (
            Method::GET,
            "/api/v1/pods?timeout=1ns",
            vec![],
            "",
            504,
            "Timeout: request did not complete within the allotted timeout",
        ),
        (
            Method::GET,
            "/api/v1/namespaces/default/configmaps/a%00b",
            vec![],
            "",
            404,
            "configmaps \"a\\x00b\" not found",
        ),
    ] {
        let answer = server.ask(method, path, &headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.message().as_str()), (code, message), "{path}");
    }
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let server = TestServer::start().await;
    let nobody = format!("Bearer {NOBODY}");
    let refused = server.ask(Method::GET, "/api/v1/namespaces/default/pods", &[("authorization", &nobody)], "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.headers["x-content-type-options"], "nosniff");
    assert_eq!(
        refused.message(),
        "pods is forbidden: User \"nobody\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\": Everything is forbidden."
    );
    let path = server.ask(Method::GET, "/y", &[("authorization", "")], "").await;
    assert!(
        path.message().starts_with("forbidden: User \"system:anonymous\" cannot get path \"/y\""),
        "{}",
        path.text()
    );
    let acting = server.ask(Method::GET, MAPS, &[("impersonate-user", "other")], "").await;
    assert!(acting.message().contains("User \"other\" cannot list"), "{}", acting.text());
}

#[tokio::test]
async fn who_has_no_time_left_hears_it_as_text() {
    let server = TestServer::start().await;
    let late = server.get_as("/api/v1/pods?timeout=1ns", "application/yaml").await;
    assert_eq!(
        (late.status, &late.headers["content-type"].to_str().expect("text")[..10]),
        (StatusCode::GATEWAY_TIMEOUT, "text/plain")
    );
    let want = "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"Timeout: request did not complete within the \
                allotted timeout\",\"reason\":\"Timeout\",\"details\":{},\"code\":504}\n";
    assert_eq!(late.text(), want);
}

#[tokio::test]
async fn warnings_and_strictness() {
    let server = TestServer::start().await;
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"foo":1}"#;
    let json = [("content-type", "application/json")];
    let strict = server.ask(Method::POST, &format!("{MAPS}?fieldValidation=Strict"), &json, body).await;
    assert_eq!(strict.status, StatusCode::BAD_REQUEST);
    assert!(strict.message().contains("strict decoding error: unknown field \"foo\""));
    let warned = server.ask(Method::POST, MAPS, &json, body).await;
    assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"foo\\\"\"");
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let server = TestServer::start().await;
    let body = vec![b' '; 3 * 1024 * 1024 + 1];
    let answer = server.ask(Method::POST, MAPS, &[("content-type", "application/json")], body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.message().as_str()),
        (413, "Request entity too large: limit is 3145728")
    );
}

#[tokio::test]
async fn places_in_flight_are_limited() {
    let server = TestServer::with_options(Options { max_requests_inflight: 1, ..Options::default() }).await;
    let taken = server.server.readonly.take();
    let nobody = format!("Bearer {NOBODY}");
    let refused = server.ask(Method::GET, "/api/v1/pods", &[("authorization", &nobody)], "").await;
    assert_eq!(
        (refused.status, &refused.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().expect("a value"))
    );
    assert_eq!(server.get("/api/v1/pods").await.status, StatusCode::OK, "administrators are exempt");
    drop(taken);
    let denied = server.ask(Method::GET, "/api/v1/pods", &[("authorization", &nobody)], "").await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn fixed_paths() {
    let server = TestServer::start().await;
    for (path, want) in [
        ("/", "\"/readyz/etcd\""),
        ("/api", "\"v1\""),
        ("/api/", "\"v1\""),
        ("/apis", "\"APIGroupList\""),
        ("/api/v1", "\"pods/exec\""),
        ("/apis/autoscaling/v1", "\"horizontalpodautoscalers\""),
        ("/version", "\"gitVersion\""),
        ("/healthz", "ok"),
        ("/healthz/etcd", "ok"),
        ("/readyz?verbose", "[+]etcd ok\n"),
        ("/livez?verbose&exclude=etcd", "[+]etcd excluded: ok\n"),
        ("/livez?verbose&exclude=etcd,ping", "no matches for \"etcd,ping\"\nlivez check passed\n"),
        ("/livez?verbose&exclude=z&exclude=a", "no matches for \"a\",\"z\"\n"),
        ("/livez?verbose", "[+]log ok\n[+]loopback-serving-certificate ok\n[+]etcd ok\n"),
        ("/readyz?verbose", "[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n"),
        ("/metrics", "apiserver_request_total{"),
        ("/metrics/slis", "kubernetes_healthcheck{name=\"etcd\",type=\"readyz\"} 1"),
        ("/openapi/v3", "\"apis/apps/v1\""),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.text().contains(want), "{path}: {}", answer.text());
    }
    let missing = server.get("/nothing").await;
    assert_eq!((missing.status, missing.text()), (StatusCode::NOT_FOUND, "404 page not found\n"));
    assert_eq!(missing.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn odd_paths_and_methods() {
    let server = TestServer::start().await;
    let unknown = "the server could not find the requested resource";
    let no_method = "the server does not allow this method";
    let json_only = "406: Not Acceptable\\n\\nAvailable representations: application/json\"";
    for (method, path, accept, code, want) in [
        (Method::GET, "//api", "*/*", 404, "404 page not found\n"),
        (Method::GET, "/healthz/", "*/*", 404, "404 page not found\n"),
        (Method::GET, "/openapi/v3/", "*/*", 404, ""),
        (Method::POST, "/foo", "*/*", 404, "404 page not found\n"),
        (Method::GET, "/api/v2", "*/*", 404, unknown),
        (Method::POST, "/version/x", "*/*", 404, unknown),
        (Method::HEAD, "/api", "*/*", 405, ""),
        (Method::POST, "/api/", "*/*", 405, no_method),
        (Method::PUT, "/version/", "*/*", 405, no_method),
        (Method::DELETE, "/apis/apps/v1", "*/*", 405, no_method),
        (Method::POST, "/apis", "*/*", 200, "APIGroupList"),
        (Method::PUT, "/apis/apps", "*/*", 200, "APIGroup"),
        (Method::PATCH, "/healthz", "*/*", 200, "ok"),
        (Method::POST, "/metrics", "*/*", 200, "apiserver_request_total"),
        (Method::GET, "/index.html", "*/*", 200, "\"/readyz/etcd\""),
        (Method::GET, "/version", "text/html", 406, json_only),
        (Method::GET, "/metrics", "text/html", 200, ""),
        (
            Method::GET,
            "/api/v1/watch?x=%20&y=1",
            "*/*",
            500,
            "unable to determine kind and namespace from url, /api/v1/watch?x=%20&amp;y=1\n",
        ),
    ] {
        let answer = server.ask(method.clone(), path, &[("accept", accept)], "").await;
        assert_eq!(answer.status, code, "{method} {path}");
        assert!(answer.text().contains(want), "{method} {path}: {}", answer.text());
        assert_eq!(answer.headers.contains_key("cache-control"), code != 500, "{method} {path}");
        assert!(!answer.headers.contains_key("vary"), "{method} {path}");
    }
    let all = server.ask(Method::OPTIONS, "*", &[("authorization", "")], "").await;
    assert_eq!((all.status, all.text()), (StatusCode::OK, ""));
    let broken = server.get("/api/v1/namespaces/%zz").await;
    assert_eq!((broken.status, broken.text()), (StatusCode::BAD_REQUEST, "400 Bad Request"));
    assert_eq!(broken.headers["connection"], "close");
}
