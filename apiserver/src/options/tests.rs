//! What the flags are read as, and which values are refused.

use super::*;
use component::flags::{Parsed, parse};

fn options(line: &str) -> Result<Options, String> {
    let arguments = line.split_whitespace().map(str::to_owned);
    match parse::<Options>("kube-apiserver", arguments, |_| None) {
        Ok(Parsed::Start(start)) => Ok(start.options),
        Ok(Parsed::Print(text)) => Err(text),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn defaults_are_upstreams() {
    let options = options("--etcd-servers=http://a:1,http://b:1").expect("options");
    assert_eq!(options.etcd.etcd_servers.len(), 2);
    assert_eq!((options.serving.secure_port, options.serving.max_requests_inflight), (6443, 400));
    assert_eq!(options.cluster.service_node_port_range, 30000..=32767);
    assert!(options.authentication.anonymous_auth);
    assert_eq!(options.validate(), Ok(()));
}

#[test]
fn nobody_is_anonymous_where_everybody_may_do_anything() {
    for (line, want) in [
        ("", false),
        ("--authorization-mode=Node,AlwaysAllow", false),
        ("--authorization-mode=RBAC", true),
        ("--authorization-mode=RBAC --anonymous-auth=false", false),
        ("--authorization-config=f", true),
    ] {
        let options = options(&format!("--etcd-servers=a {line}")).expect("options");
        assert_eq!(options.authentication.with(&options.authorization).anonymous_auth, want, "{line}");
    }
}

#[test]
fn port_ranges() {
    assert_eq!(port_range("30000-32767"), Ok(30000..=32767));
    assert_eq!(port_range("30000+10"), Ok(30000..=30010));
    assert_eq!(port_range("80"), Ok(80..=80));
    for bad in ["", "9-1", "a-b", "70000-70001", "65000+1000"] {
        assert!(port_range(bad).is_err(), "{bad}");
    }
}

#[test]
fn impossible_values_are_named() {
    for (line, want) in [
        ("--tls-cert-file=a", "--tls-cert-file and --tls-private-key-file must be given together"),
        (
            "--audit-log-path=a --audit-log-mode=batch --audit-log-batch-max-size=0",
            "invalid audit batch log max batch size 0, must be a positive number",
        ),
        (
            "--audit-webhook-config-file=a --audit-webhook-truncate-max-batch-size=9",
            "invalid audit truncate webhook max batch size 9, must be greater than max event size (102400)",
        ),
        (
            "--etcd-servers-overrides=events#http://b:1",
            "--etcd-servers-overrides invalid, must be of format: group/resource#servers, where servers are URLs, semicolon separated",
        ),
        (
            "--etcd-servers-overrides=/services#http://b:1",
            "--etcd-servers-overrides: /services must lie where all others do",
        ),
        (
            "--strict-transport-security-directives=max-age",
            "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information",
        ),
        (
            "--cors-allowed-origins=example",
            "--cors-allowed-origins has an invalid regular expression: regular expression does not pin to start/end of host in the origin header",
        ),
        ("--egress-selector-config-file=f", "--egress-selector-config-file is known but not built"),
        ("--tracing-config-file=f", "--tracing-config-file is known but not built"),
        (
            "--emulated-version=kube=1.35",
            "--emulated-version: \"kube=1.35\" is not built: this server can only be 1.36",
        ),
        (
            "--storage-backend=etcd2",
            "--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'",
        ),
        (
            "--admission-control=AlwaysAdmit --enable-admission-plugins=AlwaysDeny",
            "admission-control and enable-admission-plugins/disable-admission-plugins flags are mutually exclusive",
        ),
        ("--kubernetes-service-node-port=80", "kubernetes service node port range 30000-32767 doesn't contain 80"),
        ("--watch-cache-sizes=pods", "invalid value of watch cache size: pods"),
        ("--goaway-chance=0.03", "--goaway-chance can not be less than 0 or greater than 0.02"),
        (
            "--storage-media-type=text/plain",
            "--storage-media-type \"text/plain\" invalid, allowed values: application/json, application/vnd.kubernetes.protobuf",
        ),
        ("--runtime-config=nonesuch.io/v1=true", "unknown api groups nonesuch.io/v1"),
        (
            "--service-account-signing-key-file=a",
            "--service-account-issuer is required with --service-account-signing-key-file",
        ),
        ("--service-cluster-ip-range=10.0.0.0/8", "--service-cluster-ip-range: 10.0.0.0/8 is larger than /12 allows"),
        (
            "--service-cluster-ip-range=10.0.0.0/24,10.1.0.0/24",
            "--service-cluster-ip-range: at most one range of each IP family",
        ),
    ] {
        let options = options(&format!("--etcd-servers=http://a:1 {line}")).expect("options");
        assert_eq!(options.validate().expect_err(line).to_string(), want);
    }
    assert!(options("--etcd-servers=a --secure-port=x").is_err());
    assert!(options("--etcd-servers=a --no-such-flag").is_err());
    assert!(options("").is_err());
}
