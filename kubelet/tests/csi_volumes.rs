//! Volumes of a storage driver on real sockets: from its registration to the last call.

#[path = "csi/world.rs"]
mod world;

use k8s_openapi::api::core::v1::Pod;
use kubelet::csi::names;
use kubelet::volumes::VolumeError;
use proto::csi::node_service_capability::rpc::Type as Capability;
use proto::csi::volume_capability::{AccessType, access_mode::Mode};
use serde_json::json;
use std::os::unix::fs::MetadataExt as _;
use testkit::csi::Call;
use tonic::Status;
use world::{DRIVER, World, claimed, pass, pod, until, using};

const STAGES: &[Capability] = &[Capability::StageUnstageVolume];

#[tokio::test]
async fn a_driver_comes_and_goes() {
    let world = World::start(&[], json!({})).await;
    assert_eq!(world.objects.drivers(), [DRIVER]);
    let patches = world.objects.patches.lock().clone();
    assert_eq!(
        patches,
        [json!({"metadata": {
            "annotations": {"csi.volume.kubernetes.io/nodeid": format!("{{\"{DRIVER}\":\"node-id\"}}")},
            "labels": {"example.com/rack": "r1"},
        }})]
    );
    std::fs::remove_file(world.root().join("plugins_registry/dirs-reg.sock")).expect("removed");
    until("unregistered", || world.objects.drivers().is_empty()).await;
    world.claim(json!({"accessModes": ["ReadWriteOnce"]}));
    world.attach();
    let error = world.ensure(&pod("a", claimed())).await.expect_err("no driver");
    let want = format!(
        "MountVolume.SetUp failed for volume \"pv\" : driver name {DRIVER} not found in the list of registered CSI \
         drivers"
    );
    assert_eq!(error.to_string(), want);
}

#[tokio::test]
async fn a_volume_is_attached_staged_once_and_published_for_each_pod() {
    let world = World::start(STAGES, json!({})).await;
    world.claim(json!({
        "accessModes": ["ReadWriteOnce"], "mountOptions": ["noatime"],
        "csi": {"fsType": "ext4", "volumeAttributes": {"color": "red"},
            "nodeStageSecretRef": {"namespace": "x", "name": "key"}},
    }));
    let (a, b) = (pod("a", claimed()), pod("b", claimed()));
    let waits = world.ensure(&a).await.expect_err("it is not attached");
    assert!(matches!(waits, VolumeError::Later { .. }), "{waits}");
    let unique = names::unique(DRIVER, "h");
    assert!(world.csi.in_use().is_reported(&unique), "said before anything is mounted");
    world.attach();
    let error = world.ensure(&a).await.expect_err("there is no secret");
    let text = error.to_string();
    assert!(
        text.starts_with(
            "MountVolume.MountDevice failed for volume \"pv\" : fetching NodeStageSecretRef x/key failed:"
        ),
        "{text}"
    );
    world.objects.put("secret", "key", json!({"data": {"k": "djE="}}));
    let path = world.mount(&a).await;
    assert_eq!(path, world.root().join("pods/a/volumes/kubernetes.io~csi/pv/mount"));
    let staging = names::staging(&world.root(), DRIVER, "h");
    {
        let state = world.driver.state();
        let Call::Stage(stage) = &state.calls[0] else { panic!("{:?}", state.calls) };
        assert_eq!(stage.publish_context["slot"], "3");
        assert_eq!((stage.secrets["k"].as_str(), stage.volume_context["color"].as_str()), ("v1", "red"));
        assert_eq!(stage.staging_target_path, staging.to_str().expect("a path"));
        let capability = stage.volume_capability.clone().expect("one");
        assert_eq!(capability.access_mode.expect("one").mode(), Mode::SingleNodeWriter);
        let Some(AccessType::Mount(mount)) = capability.access_type else { panic!("files") };
        assert_eq!((mount.fs_type.as_str(), mount.mount_flags), ("ext4", vec!["noatime".to_owned()]));
        let Call::Publish(publish) = &state.calls[1] else { panic!("{:?}", state.calls) };
        assert_eq!((publish.volume_id.as_str(), publish.readonly), ("h", false));
        assert_eq!(publish.staging_target_path, stage.staging_target_path);
        assert_eq!(publish.publish_context["slot"], "3");
    }
    world.mount(&b).await;
    world.mount(&a).await;
    assert_eq!(world.calls(), ["stage", "publish", "publish"], "what is there is left alone");
    world.volumes.tear_down("a").await.expect("taken away");
    assert_eq!(world.calls()[3..], ["unpublish"], "b still has it");
    assert!(staging.exists() && world.csi.in_use().wanted().contains(&unique));
    world.volumes.tear_down("b").await.expect("taken away");
    assert_eq!(world.calls()[4..], ["unpublish", "unstage"]);
    assert!(!staging.parent().expect("a folder").exists() && world.csi.in_use().wanted().is_empty());
    assert!(world.volumes.pods_on_disk().is_empty());
}

#[tokio::test]
async fn a_failure_is_told_once_and_tried_again_after_a_while() {
    let world = World::start(STAGES, json!({"attachRequired": false})).await;
    world.claim(json!({"accessModes": ["ReadWriteOnce"]}));
    let a = pod("a", claimed());
    world.driver.fail("stage", Status::internal("no disk"));
    let error = world.ensure(&a).await.expect_err("the driver fails").to_string();
    assert_eq!(error, "MountVolume.MountDevice failed for volume \"pv\" : rpc error: code = Internal desc = no disk");
    let staging = names::staging(&world.root(), DRIVER, "h");
    assert!(!staging.exists(), "nothing was done, nothing is kept");
    assert!(matches!(world.ensure(&a).await, Err(VolumeError::Later { .. })));
    world.driver.fail("publish", Status::unavailable("wait"));
    let failed = async {
        loop {
            match world.ensure(&a).await {
                Err(VolumeError::Later { wait, .. }) => pass(wait).await,
                other => return other,
            }
        }
    };
    let error = failed.await.expect_err("the driver fails").to_string();
    assert_eq!(error, "MountVolume.SetUp failed for volume \"pv\" : rpc error: code = Unavailable desc = wait");
    assert!(world.root().join("pods/a/volumes/kubernetes.io~csi/pv/vol_data.json").exists(), "it may be done yet");
    world.volumes.tear_down("a").await.expect("taken away");
    assert_eq!(world.calls(), ["stage", "stage", "publish", "unpublish", "unstage"]);
    assert!(world.csi.in_use().wanted().is_empty(), "drivers that need no attachment are not waited for");
}

#[tokio::test]
async fn what_cannot_be_taken_back_stays_until_it_can() {
    let world = World::start(STAGES, json!({"attachRequired": false})).await;
    world.claim(json!({"accessModes": ["ReadWriteOnce"]}));
    let path = world.mount(&pod("a", claimed())).await;
    world.driver.fail("unpublish", Status::internal("busy"));
    let error = world.volumes.tear_down("a").await.expect_err("the driver fails").to_string();
    assert_eq!(error, "UnmountVolume.TearDown failed for volume \"pv\" : rpc error: code = Internal desc = busy");
    assert!(path.exists());
    world.driver.fail("unstage", Status::internal("busy"));
    world.volumes.tear_down("a").await.expect("the pod may go");
    let staging = names::staging(&world.root(), DRIVER, "h");
    assert!(!path.exists() && staging.exists());
    world.supervisor.spawn_until_stop("reap", world.csi.clone().reap());
    until("unstaged", || !staging.exists()).await;
}

#[tokio::test]
async fn a_new_kubelet_takes_back_what_the_old_one_mounted() {
    let mut world = World::start(STAGES, json!({})).await;
    world.claim(json!({"accessModes": ["ReadWriteOnce"]}));
    world.attach();
    let (a, b) = (pod("a", claimed()), pod("b", claimed()));
    world.mount(&a).await;
    world.mount(&b).await;
    world.restart().await;
    assert!(world.csi.in_use().wanted().contains(&names::unique(DRIVER, "h")), "known from the disk");
    world.volumes.tear_down("a").await.expect("taken away");
    world.mount(&b).await;
    assert_eq!(world.calls()[3..], ["unpublish", "stage", "publish"], "a driver is asked again, which changes nothing");
    world.restart().await;
    world.volumes.tear_down("b").await.expect("taken away");
    assert_eq!(world.calls()[6..], ["unpublish", "unstage"]);
    assert!(world.csi.in_use().wanted().is_empty() && world.volumes.pods_on_disk().is_empty());
}

#[tokio::test]
async fn a_pods_own_volume_is_told_of_the_pod() {
    let spec = json!({
        "volumeLifecycleModes": ["Ephemeral"], "podInfoOnMount": true, "requiresRepublish": true,
        "tokenRequests": [{"audience": "vault"}],
    });
    let world = World::start(STAGES, spec).await;
    world.objects.put("secret", "key", json!({"data": {"k": "djE="}}));
    let volume = json!({"csi": {"driver": DRIVER, "readOnly": true, "volumeAttributes": {"x": "y"},
        "nodePublishSecretRef": {"name": "key"}}});
    let a = pod("a", volume);
    let path = world.mount(&a).await;
    assert_eq!(path, world.root().join("pods/a/volumes/kubernetes.io~csi/v/mount"));
    {
        let state = world.driver.state();
        let Call::Publish(publish) = &state.calls[0] else { panic!("{:?}", state.calls) };
        assert_eq!(publish.volume_id, names::inline_handle("a", "v"));
        assert!(publish.readonly && publish.staging_target_path.is_empty());
        assert_eq!(publish.secrets["k"], "v1");
        let told = |key: &str| publish.volume_context[&format!("csi.storage.k8s.io/{key}")].clone();
        let all = ["pod.name", "pod.namespace", "pod.uid", "serviceAccount.name", "ephemeral"].map(told);
        assert_eq!(all, ["pod-a", "ns", "a", "sa", "true"]);
        let tokens = told("serviceAccount.tokens");
        assert_eq!(
            tokens,
            "{\"vault\":{\"expirationTimestamp\":\"2096-10-02T07:06:40Z\",\"token\":\"token for vault\"}}"
        );
        assert_eq!(publish.volume_context["x"], "y");
    }
    world.mount(&a).await;
    assert_eq!(world.calls(), ["publish", "publish"], "as it asks for");
    world.driver.fail("publish", Status::internal("no"));
    world.ensure(&a).await.expect_err("the driver fails");
    assert!(path.exists(), "the pod still has what it had");
    world.volumes.tear_down("a").await.expect("taken away");
    assert_eq!(world.calls()[3..], ["unpublish"]);
    let persistent = pod("b", claimed());
    world.claim(json!({}));
    let error = world.ensure(&persistent).await.expect_err("another mode").to_string();
    assert!(
        error.ends_with(
            "volume mode \"Persistent\" not supported by driver dirs.example.com (only supports [\"Ephemeral\"])"
        ),
        "{error}"
    );
}

#[tokio::test]
async fn files_are_the_groups() {
    let world = World::start(STAGES, json!({"attachRequired": false, "fsGroupPolicy": "File"})).await;
    world.claim(json!({"accessModes": ["ReadWriteMany"]}));
    let mut a: Pod = pod("a", claimed());
    let group = std::fs::metadata(world.folder.path()).expect("a folder").gid();
    let context = serde_json::from_value(json!({"fsGroup": group})).expect("a context");
    a.spec.as_mut().expect("a spec").security_context = Some(context);
    let path = world.mount(&a).await;
    assert_eq!(std::fs::metadata(path).expect("the volume").mode() & 0o2770, 0o2770);
}

#[tokio::test]
async fn a_driver_that_sets_the_group_is_told_of_it() {
    let able = [Capability::StageUnstageVolume, Capability::VolumeMountGroup, Capability::SingleNodeMultiWriter];
    let world = World::start(&able, json!({"attachRequired": false, "fsGroupPolicy": "File"})).await;
    world.claim(json!({"accessModes": ["ReadWriteOncePod"]}));
    let mut a: Pod = pod("a", claimed());
    a.spec.as_mut().expect("a spec").security_context =
        Some(serde_json::from_value(json!({"fsGroup": 4711})).expect("a context"));
    let path = world.mount(&a).await;
    let state = world.driver.state();
    let Call::Publish(publish) = &state.calls[1] else { panic!("{:?}", state.calls) };
    let capability = publish.volume_capability.clone().expect("one");
    assert_eq!(capability.access_mode.expect("one").mode(), Mode::SingleNodeSingleWriter);
    let Some(AccessType::Mount(mount)) = capability.access_type else { panic!("files") };
    assert_eq!(mount.volume_mount_group, "4711");
    assert_eq!(std::fs::metadata(path).expect("the volume").mode() & 0o2000, 0, "the kubelet leaves it alone");
}

#[tokio::test]
async fn a_volume_grows_and_its_claim_learns_of_it() {
    let able = [Capability::StageUnstageVolume, Capability::ExpandVolume, Capability::GetVolumeStats];
    let world = World::start(&able, json!({"attachRequired": false})).await;
    world.claim(json!({"accessModes": ["ReadWriteOnce"]}));
    let a = pod("a", claimed());
    let path = world.mount(&a).await;
    until("measured", || !world.csi.volume_stats("a").is_empty()).await;
    let stats = world.csi.volume_stats("a").remove(0);
    assert_eq!((stats.name.as_str(), stats.fs.capacity_bytes, stats.fs.inodes_used), ("v", Some(4000), Some(100)));
    assert_eq!(stats.pvc_ref.map(|claim| claim.name), Some("data".into()));
    let key = ("persistentvolume", "pv".to_owned());
    world.objects.all.lock().get_mut(&key).expect("the volume")["spec"]["capacity"]["storage"] = "2Gi".into();
    world.objects.patches.lock().clear();
    world.mount(&a).await;
    assert_eq!(world.calls(), ["stage", "publish", "expand"]);
    let request = world.driver.state().calls.iter().rev().find_map(|call| match call {
        Call::Expand(request) => Some(request.clone()),
        _ => None,
    });
    let request = request.expect("the call");
    assert_eq!(request.capacity_range.map(|range| range.required_bytes), Some(2 << 30));
    assert_eq!(request.volume_path, path.to_str().expect("a path"));
    let patches = world.objects.patches.lock().clone();
    assert_eq!(patches[0]["status"]["allocatedResourceStatuses"]["storage"], "NodeResizeInProgress");
    assert_eq!(patches[1]["status"]["capacity"]["storage"], "2Gi");
    world.driver.fail("expand", Status::out_of_range("too large"));
    world.mount(&a).await;
    world.mount(&a).await;
    assert_eq!(world.calls()[2..], ["expand", "expand"], "what was refused for good is not asked for again");
    let last = world.objects.patches.lock().last().cloned().expect("a patch");
    assert_eq!(last["status"]["allocatedResourceStatuses"]["storage"], "NodeResizeInfeasible");
}

#[tokio::test]
async fn a_block_volume_is_a_link_to_its_device() {
    let mut world = World::start(STAGES, json!({"attachRequired": false})).await;
    world.claim(json!({"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"}));
    let a = using("a", claimed(), json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/xvda"}]}));
    let link = world.mount(&a).await;
    assert_eq!(link, world.root().join("pods/a/volumeDevices/kubernetes.io~csi/pv"));
    let device = names::block_device(&world.root(), "pv", "a");
    assert_eq!(std::fs::read_link(&link).expect("a link"), device);
    assert!(device.exists() && names::block_data(&world.root(), "pv").join("vol_data.json").exists());
    {
        let state = world.driver.state();
        let Call::Stage(stage) = &state.calls[0] else { panic!("{:?}", state.calls) };
        let staging = names::block_staging(&world.root(), "pv");
        assert_eq!(stage.staging_target_path, staging.to_str().expect("a path"));
        assert!(matches!(stage.volume_capability.as_ref().expect("one").access_type, Some(AccessType::Block(_))));
    }
    world.restart().await;
    world.volumes.tear_down("a").await.expect("taken away");
    assert_eq!(world.calls(), ["stage", "publish", "unpublish", "unstage"]);
    assert!(!device.exists() && !names::block_data(&world.root(), "pv").exists());
    let mounted = world.ensure(&pod("b", claimed())).await.expect_err("a device").to_string();
    assert!(mounted.ends_with("volume v has volumeMode Block, but is specified in volumeMounts"), "{mounted}");
}
