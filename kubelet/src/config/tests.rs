use super::validation::validate;
use super::*;
use component::kinds;

#[test]
fn a_file_of_every_built_field_is_read() {
    let value = kinds::show(&KubeletConfiguration::default(), &KIND);
    let text = serde_json::to_string(&value).unwrap();
    let loaded = kinds::parse::<KubeletConfiguration>(&text, "f", &KIND).unwrap();
    assert_eq!(loaded.config.port, 10250);
    assert!(loaded.unbuilt.is_empty());
}

#[test]
fn upstreams_defaults_are_known_fields() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/kubernetes-1.36/config-defaults/kubelet.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is absent", path.display());
        return;
    };
    let loaded = kinds::parse::<KubeletConfiguration>(&text, "kubelet.json", &KIND).unwrap();
    assert_eq!((loaded.config.port, loaded.config.max_pods), (10250, 110));
}

#[test]
fn headers_are_not_shown() {
    let mut config = KubeletConfiguration::default();
    config.static_pod_url_header.insert("Authorization".into(), vec!["secret".into()]);
    let shown = kinds::show(&config.shown(), &KIND).to_string();
    assert!(shown.contains("<masked>") && !shown.contains("secret"), "{shown}");
}

#[test]
fn unknown_fields_and_impossible_values_are_refused() {
    let text = r#"{"apiVersion":"kubelet.config.k8s.io/v1beta1","kind":"KubeletConfiguration","nope":1}"#;
    assert!(kinds::parse::<KubeletConfiguration>(text, "f", &KIND).is_err());
    let bad = |change: fn(&mut KubeletConfiguration)| {
        let mut config = KubeletConfiguration::default();
        change(&mut config);
        validate(&config).is_err()
    };
    assert!(bad(|c| c.cluster_dns = vec!["x".into()]));
    assert!(bad(|c| c.container_runtime_endpoint = "tcp://x".into()));
    assert!(bad(|c| c.tls_cert_file = "x".into()));
    assert!(bad(|c| c.eviction_soft = [("memory.available".to_owned(), "1".to_owned())].into()));
    assert!(bad(|c| c.eviction_hard = [("nothing.available".to_owned(), "1".to_owned())].into()));
    assert!(bad(|c| c.container_log_max_size = "-1".into()));
    assert!(bad(|c| (c.enable_system_log_query, c.enable_system_log_handler) = (true, false)));
    assert!(bad(|c| c.image_pull_credentials_verification_policy = "Sometimes".into()));
    assert!(bad(|c| c.preloaded_images_verification_allowlist = vec!["r.test/a".into()]));
    assert!(bad(|c| c.container_log_max_files = 1));
    assert!(bad(|c| c.container_log_monitor_interval = GoDuration::from_secs(2)));
    assert!(bad(|c| c.eviction_hard = [("memory.available".to_owned(), "x".to_owned())].into()));
    assert!(bad(|c| c.allowed_unsafe_sysctls = vec!["kernel.panic".into()]));
    assert!(bad(|c| c.tls_min_version = "VersionTLS9".into()));
    assert!(bad(|c| c.cpu_cfs_quota_period = GoDuration::from_secs(1)));
    assert!(bad(|c| c.image_maximum_gc_age = GoDuration::from_secs(60)));
    assert!(bad(|c| c.run_once = true));
    assert!(bad(|c| c.iptables_drop_bit = 32));
    assert!(bad(|c| c.event_burst = -1));
    assert!(!bad(|_| {}));
}

#[test]
fn flags_win_over_the_defaults() {
    let line = "--pod-max-pids=500 --registry-qps=0 --provider-id=a://b --eviction-hard=memory.available<1Gi --cluster-dns=10.0.0.10";
    let parsed = component::flags::parse::<Options>("kubelet", line.split(' ').map(str::to_owned), |_| None);
    let component::flags::Parsed::Start(start) = parsed.unwrap() else { panic!("nothing is printed") };
    let config = load(&start.options, &start.given).unwrap();
    assert_eq!((config.pod_pids_limit, config.registry_pull_qps, config.registry_burst), (500, 0, 10));
    assert_eq!(config.provider_id, "a://b");
    assert_eq!(config.eviction_hard, [("memory.available".to_owned(), "1Gi".to_owned())].into());
    assert_eq!(config.cluster_dns, ["10.0.0.10"]);
}

#[test]
fn thresholds() {
    assert_eq!(Threshold::parse("10%").unwrap().of(1000), 100);
    assert_eq!(Threshold::parse("1Ki").unwrap().of(5), 1024);
    assert!(Threshold::parse("101%").is_none());
}
