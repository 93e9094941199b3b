//! Who may have an image that is on the node: those whose credentials are as good as those that it was pulled with.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kubelet::events::{Events, LogOnly};
use kubelet::images::access::{Access, policy::Policy};
use kubelet::images::{ImageError, Images, Wish, credentials};
use kubelet::rate::Rate;
use kubelet::runtime::{Endpoint, Runtime, images::RegistryAuth};
use std::sync::Arc;
use std::time::Duration;
use testkit::cri::FakeCri;

const IMAGE: &str = "r.test/i:1";

/// What a kubelet has for images, on a runtime in memory that can pull one.
struct World {
    cri: FakeCri,
    images: Images,
    access: Access,
}

impl World {
    async fn new(policy: Policy) -> Self {
        let cri = FakeCri::start().await.expect("a runtime");
        cri.state().registry.insert(IMAGE.into());
        let endpoint = Endpoint::parse(&cri.endpoint()).expect("its socket");
        let runtime = Runtime::new(&endpoint, &endpoint, Duration::from_secs(10));
        let access = Access::open(&cri.folder(), policy).expect("its folders");
        let images = Images::new(runtime, Events::new(Arc::new(LogOnly)), 1, Rate::new(0, 0));
        Self { images: images.with_access(Some(access.clone())), access, cri }
    }

    /// What a pod of this name gets, and how often the runtime has pulled by then.
    async fn ensure(&self, pod: &str, policy: &str, auths: &[RegistryAuth]) -> (Result<String, ImageError>, usize) {
        let metadata = ObjectMeta { name: Some(pod.into()), uid: Some(pod.into()), ..ObjectMeta::default() };
        let container =
            Container { image: Some(IMAGE.into()), image_pull_policy: Some(policy.into()), ..Container::default() };
        let pod = Pod { metadata, ..Pod::default() };
        let got = self.images.ensure(&pod, Wish::of_container(&container), auths, &Default::default()).await;
        (got.map(|image| image.id), self.cri.state().count("PullImage", IMAGE))
    }
}

/// The credentials in a secret of this name.
fn secret(name: &str, password: &str) -> Vec<RegistryAuth> {
    let text = format!(r#"{{"auths":{{"r.test":{{"username":"u","password":"{password}"}}}}}}"#);
    let metadata = ObjectMeta {
        namespace: Some("ns".into()),
        name: Some(name.into()),
        uid: Some(format!("uid-of-{name}")),
        ..ObjectMeta::default()
    };
    credentials::of_secret(&Secret {
        metadata,
        type_: Some("kubernetes.io/dockerconfigjson".into()),
        data: Some([(".dockerconfigjson".to_owned(), ByteString(text.into_bytes()))].into()),
        ..Secret::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_not_for_everybody_because_somebody_pulled_it() {
    let world = World::new(Policy::Preloaded).await;
    let id = || Ok(format!("sha256:{IMAGE}"));
    assert_eq!(world.ensure("first", "IfNotPresent", &secret("a", "p")).await, (id(), 1), "nobody had it");
    assert_eq!(world.ensure("second", "IfNotPresent", &secret("a", "p")).await, (id(), 1), "the same secret");
    assert_eq!(world.ensure("third", "IfNotPresent", &secret("b", "p")).await, (id(), 1), "one with the same content");
    let refused = Err(ImageError::Never(IMAGE.into()));
    assert_eq!(world.ensure("fourth", "Never", &[]).await, (refused, 1), "as if it were not here");
    assert_eq!(world.ensure("fifth", "IfNotPresent", &secret("c", "other")).await, (id(), 2), "its own have to do");
    assert_eq!(world.ensure("sixth", "Never", &secret("c", "other")).await, (id(), 2), "which they did");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_came_with_the_node_is_for_everybody_unless_always_verified() {
    for (policy, pulls) in [(Policy::Preloaded, 0), (Policy::Never, 0), (Policy::Always, 1)] {
        let world = World::new(policy.clone()).await;
        world.cri.state().images.insert(IMAGE.into());
        let (got, count) = world.ensure("p", "IfNotPresent", &[]).await;
        assert!(got.is_ok(), "{policy:?}");
        assert_eq!(count, pulls, "{policy:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_is_forgotten_and_what_failed_leaves_nothing() {
    let world = World::new(Policy::Preloaded).await;
    world.cri.state().registry.clear();
    assert!(matches!(world.ensure("first", "IfNotPresent", &[]).await.0, Err(ImageError::Pull(_))));
    let files = |folder: &str| {
        std::fs::read_dir(world.cri.folder().join("image_manager").join(folder)).expect("the folder").count()
    };
    assert_eq!((files("pulling"), files("pulled")), (0, 0));
    world.cri.state().registry.insert(IMAGE.into());
    assert!(world.ensure("second", "IfNotPresent", &[]).await.0.is_ok());
    assert_eq!((files("pulling"), files("pulled")), (0, 1));
    let later = k8s_openapi::jiff::Timestamp::now() + Duration::from_secs(5);
    world.access.keep_only(&Default::default(), later);
    assert_eq!(files("pulled"), 0);
}
