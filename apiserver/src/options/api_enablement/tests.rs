use super::*;

fn served(config: &str) -> Result<Served, RuntimeConfigError> {
    let runtime_config = config.split(',').map(str::to_owned).collect();
    ApiEnablement { runtime_config }.served(false)
}

/// The resources that are not served, `group/version/plural`.
fn without(config: &str) -> Vec<String> {
    let served = served(config).expect(config);
    served.without.iter().map(|r| format!("{}/{}", r.api_version(), r.plural)).collect()
}

#[test]
fn versions_and_resources_are_switched() {
    for nothing in ["", "api/all=true", "api/v1", "v1=true", "api/legacy=false", "api/beta=false", "apps/v1=1"] {
        assert!(without(nothing).is_empty(), "{nothing}");
    }
    assert_eq!(without("batch/v1=false"), ["batch/v1/cronjobs", "batch/v1/jobs"]);
    assert_eq!(without("batch/v1/jobs=false"), ["batch/v1/jobs"]);
    assert_eq!(without("batch/v1=false,batch/v1/jobs=true"), ["batch/v1/cronjobs"]);
    assert_eq!(without("autoscaling/v1=F"), ["autoscaling/v1/horizontalpodautoscalers"]);
    let only_batch = without("api/all=false,batch/v1=true");
    assert!(only_batch.contains(&"v1/pods".to_owned()) && !only_batch.contains(&"batch/v1/jobs".to_owned()));
    assert_eq!(without("api/ga=false,api/all=true"), without("api/all=false,api/alpha=false"));
    assert!(without("/v1=false").contains(&"v1/pods".to_owned()));
}

#[test]
fn what_is_not_built_is_named() {
    let unbuilt = |config: &str| served(config).expect(config).unbuilt;
    assert_eq!(unbuilt("storage.k8s.io/v1alpha1=true"), ["storage.k8s.io/v1alpha1"]);
    assert_eq!(unbuilt("api/all=true").len(), OFF.len());
    assert_eq!(unbuilt("api/beta=true,storage.k8s.io/v1beta1=false").len(), 11);
    assert_eq!(unbuilt("resource.k8s.io/v1beta2/resourceclaims"), ["resource.k8s.io/v1beta2/resourceclaims"]);
    assert!(unbuilt("api/alpha=false").is_empty());
}

#[test]
fn what_cannot_be_is_refused_in_upstreams_words() {
    for (config, want) in [
        ("api/all=false", "invalid runtime-config with only api/all=false"),
        ("batch=true", "runtime-config invalid key batch"),
        ("a/b/c/d", "runtime-config invalid key a/b/c/d"),
        ("nonesuch.io/v1,a/v2/x,batch/v1", "unknown api groups a/v2,nonesuch.io/v1"),
        ("api/nonesuch=true", "unknown api groups api/nonesuch"),
        ("batch/v9", "group version batch/v9 that has not been registered"),
        ("api/beta=1", "invalid value api/beta=1"),
        (
            "batch/v1=maybe",
            "invalid value of batch/v1: maybe, err: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            "batch/v1/Job",
            "invalid key batch/v1/Job: group/version/resource and resource is always lowercase plural, not \"Job\"",
        ),
    ] {
        assert_eq!(served(config).expect_err(config).to_string(), want);
    }
    let fair = |config: &str| ApiEnablement { runtime_config: vec![config.to_owned()] }.served(true).map(drop);
    assert_eq!(fair("api/ga=false"), Err(RuntimeConfigError::Fairness("api/ga")));
    let why = fair("flowcontrol.apiserver.k8s.io/v1=false").expect_err("a conflict").to_string();
    let want =
        "--runtime-config=flowcontrol.apiserver.k8s.io/v1=false conflicts with --enable-priority-and-fairness=true";
    assert_eq!(why, want);
    assert_eq!(fair("api/beta=false"), Ok(()));
}
