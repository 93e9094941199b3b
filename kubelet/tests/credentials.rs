//! From a bootstrap kubeconfig to a certificate, and to the next one, against a real apiserver.

use component::files::Watch;
use component::serve::{ClientAuthority, ServerIdentity, Tls};
use futures::TryStreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kubelet::credentials::bootstrap;
use kubelet::credentials::order::SERVING_SIGNER;
use kubelet::credentials::rotation::Rotation;
use kubelet::credentials::serving::{self, Serving};
use kubelet::credentials::store::Store;
use pki::{Authority, Request, Usage};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::apiserver::{self, Apiserver};

const TESTED: &str = env!("CARGO_BIN_EXE_kubelet");

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Approves and signs all requests, as the controller manager would: the first for what is left of a short life, the
/// others for an hour.
async fn sign(client: kube::Client, authority: Authority) -> Outcome<()> {
    let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
    let mut lifetime = Duration::from_secs(30);
    let changes = kube::runtime::watcher(requests.clone(), Default::default()).applied_objects();
    let mut changes = std::pin::pin!(changes);
    while let Some(request) = changes.try_next().await? {
        if request.status.as_ref().is_some_and(|status| status.conditions.is_some()) {
            continue;
        }
        let asked = Request::parse(&request.spec.request.0, "the request")?;
        let usage = if request.spec.signer_name == SERVING_SIGNER { Usage::Server } else { Usage::Client };
        let certificate = ByteString(authority.sign(&asked, &[usage], lifetime)?.into_bytes());
        lifetime = Duration::from_secs(3600);
        let name = request.metadata.name.unwrap_or_default();
        let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True"}]}});
        let patch = PatchParams::default();
        requests.patch_subresource("approval", &name, &patch, &Patch::Merge(approved)).await?;
        let status = json!({"status": {"certificate": certificate}});
        requests.patch_status(&name, &patch, &Patch::Merge(status)).await?;
    }
    Ok(())
}

async fn who(client: &kube::Client) -> Outcome<Value> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews");
    let request = request.header("content-type", "application/json").body(review.to_string().into_bytes())?;
    let answer: Value = client.request(request).await?;
    Ok(answer["status"]["userInfo"].clone())
}

/// The number that tells one certificate of the user from another.
fn credential(user: &Value) -> String {
    user["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_a_certificate_and_the_next_one() {
    if !apiserver::is_possible(TESTED) {
        return;
    }
    let authority = Authority::create("nodes", Duration::from_secs(3600)).unwrap();
    let text = authority.certificate_pem().to_owned();
    let server = Apiserver::start(TESTED, &[], |folder: &Path| {
        let file = folder.join("nodes.crt");
        std::fs::write(&file, text).unwrap();
        vec!["--client-ca-file".into(), file.display().to_string(), "--authorization-mode=Node".into()]
    });
    let server = server.await;
    let admin = client::connect(Some(&server.admin()), "test/1").await.unwrap();
    // Ended with the test.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(sign(admin, authority));

    let store = Store::new(&server.folder().join("kubelet"), "kubelet-client");
    let kubeconfig = server.folder().join("kubelet.conf");
    bootstrap::ensure(&kubeconfig, &server.admin(), &store, "n1").await.unwrap();
    let (client, renewal) = client::config::connect_renewable(&kubeconfig, "test/1", None).await.unwrap();
    let first = who(&client).await.unwrap();
    assert_eq!((&first["username"], &first["groups"][0]), (&json!("system:node:n1"), &json!("system:nodes")));

    // What is valid is not asked for again.
    let file = std::fs::read_link(store.current()).unwrap();
    bootstrap::ensure(&kubeconfig, Path::new("/nonexistent"), &store, "n1").await.unwrap();
    assert_eq!(std::fs::read_link(store.current()).unwrap(), file);

    let counts = Default::default();
    let rotation = Rotation { client: client.clone(), renewal, store: store.clone(), node: "n1".into(), counts };
    tasks.spawn(async {
        rotation.run().await;
        Ok(())
    });
    let is_renewed = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while credential(&who(&client).await.unwrap()) == credential(&first) {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_renewed).await.expect("the client has the new certificate");
    assert_eq!(who(&client).await.unwrap()["username"], "system:node:n1");
}

/// The certificate that a server shows; `None` if there is none that a client of this authority believes for the name.
async fn shown(tls: &Tls, authority: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(pki::pem::parse_certificates(authority, "the authority").expect("what the test needs").remove(0))
        .expect("what the test needs");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("what the test needs");
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let name = name.to_owned().try_into().expect("what the test needs");
    let (accepted, connected) = tokio::join!(acceptor.accept(theirs), connector.connect(name, ours));
    accepted.ok()?;
    Some(connected.ok()?.get_ref().1.peer_certificates()?.first()?.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shows_what_the_cluster_has_signed() {
    if !apiserver::is_possible(TESTED) {
        return;
    }
    let server = Apiserver::start(TESTED, &[], |_| Vec::new()).await;
    let admin = client::connect(Some(&server.admin()), "test/1").await.unwrap();
    let authority = Authority::create("servers", Duration::from_secs(3600)).unwrap();
    let root = authority.certificate_pem().as_bytes().to_vec();
    let store = Store::new(&server.folder().join("kubelet"), "kubelet-server");
    let identity = ServerIdentity::Later { file: store.current(), until: None };
    let tls = Tls::new(identity, ClientAuthority::None).await.unwrap();
    assert!(shown(&tls, &root, "n1").await.is_none(), "nobody has signed one yet");

    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(sign(admin.clone(), authority));
    let mut file = Watch::new([store.current()]);
    let names = serving::names("n1", &["192.0.2.1".to_owned()]);
    let metrics = kubelet::credentials::metrics::Metrics::default();
    let serving = Serving { client: admin.clone(), store, node: "n1".into(), names, metrics };
    tasks.spawn(async {
        serving.run().await;
        Ok(())
    });
    // The first one is signed for half a minute, the next for an hour.
    let lasts = |certificate: &[u8]| {
        let end = pki::Validity::of_der(certificate, "the server's certificate").unwrap().not_after;
        end.duration_since(k8s_openapi::jiff::Timestamp::now()).as_mins() > 30
    };
    let renewed = async {
        while !shown(&tls, &root, "192.0.2.1").await.is_some_and(|certificate| lasts(&certificate)) {
            file.changed().await;
            tls.refresh().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), renewed).await.expect("the next certificate");
    assert!(shown(&tls, &root, "n1").await.is_some(), "the host's name is in it, too");

    let requests: Api<CertificateSigningRequest> = Api::all(admin);
    let all = requests.list(&Default::default()).await.unwrap().items;
    assert_eq!(all.len(), 2);
    for request in all {
        assert!(request.metadata.name.unwrap().starts_with("csr-"));
        assert_eq!(request.spec.signer_name, "kubernetes.io/kubelet-serving");
        assert_eq!(request.spec.usages.unwrap(), ["digital signature", "server auth"]);
        let asked = Request::parse(&request.spec.request.0, "the request").unwrap();
        assert_eq!(
            (asked.common_name.as_str(), &asked.organizations[..]),
            ("system:node:n1", &["system:nodes".to_owned()][..])
        );
        assert_eq!(
            (&asked.dns_names[..], asked.addresses[0].to_string().as_str()),
            (&["n1".to_owned()][..], "192.0.2.1")
        );
    }
}
