//! Flags of single controllers, as upstream groups them.

use super::super::options::{CaFiles, Signers};
use super::{OptionsError, read};
use component::GoDuration;
use std::path::PathBuf;

/// The resource quota controller's.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct QuotaFlags {
    /// The period for syncing quota usage status in the system.
    #[arg(long, default_value = "5m0s")]
    pub resource_quota_sync_period: GoDuration,
    /// Resource quotas that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_resource_quota_syncs: usize,
}

/// The endpoint slice mirroring controller's.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct MirroringFlags {
    /// Services whose endpoints are mirrored at the same time.
    #[arg(long, default_value_t = 5)]
    pub mirroring_concurrent_service_endpoint_syncs: usize,
    /// The most endpoints that are mirrored of one subset.
    #[arg(long, default_value_t = 1000)]
    pub mirroring_max_endpoints_per_subset: usize,
    /// How long changes of endpoints are gathered before slices are written.
    #[arg(long, default_value = "0s")]
    pub mirroring_endpointslice_updates_batch_period: GoDuration,
}

/// The volume controllers'.
#[derive(Clone, Debug, clap::Args)]
pub struct VolumeFlags {
    /// The period for syncing persistent volumes and persistent volume claims.
    #[arg(long, default_value = "15s")]
    pub pvclaimbinder_sync_period: GoDuration,
    /// Enable dynamic provisioning for environments that support it.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true)]
    pub enable_dynamic_provisioning: bool,
    /// Ephemeral volumes that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_ephemeralvolume_syncs: usize,
}

/// The attach-detach controller's.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct AttachFlags {
    /// The period of looking at all attached volumes without any change.
    #[arg(long, default_value = "1m0s")]
    pub attach_detach_reconcile_sync_period: GoDuration,
    /// Looks at attached volumes on changes only.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub disable_attach_detach_reconcile_sync: bool,
    /// Takes no volumes from nodes that did not unmount them in time.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub disable_force_detach_on_timeout: bool,
}

/// The service account token controllers'.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct AccountFlags {
    /// Service account token secrets that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_serviceaccount_token_syncs: usize,
    /// How long an auto-generated token may be unused before it is deleted.
    #[arg(long, default_value = "8760h0m0s")]
    pub legacy_service_account_token_clean_up_period: GoDuration,
}

/// The horizontal pod autoscaler's.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct AutoscalerFlags {
    /// Autoscalers that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_horizontal_pod_autoscaler_syncs: usize,
    /// The period for syncing the number of pods.
    #[arg(long, default_value = "15s")]
    pub horizontal_pod_autoscaler_sync_period: GoDuration,
    /// How long the highest recommendation of the past holds.
    #[arg(long, default_value = "5m0s")]
    pub horizontal_pod_autoscaler_downscale_stabilization: GoDuration,
    /// The least change of the ratio of desired to actual that scales.
    #[arg(long, default_value_t = 0.1)]
    pub horizontal_pod_autoscaler_tolerance: f64,
    /// How long after a pod's start its cpu samples may be skipped.
    #[arg(long, default_value = "5m0s")]
    pub horizontal_pod_autoscaler_cpu_initialization_period: GoDuration,
    /// How long after a pod's start a change of readiness is taken for the first.
    #[arg(long, default_value = "30s")]
    pub horizontal_pod_autoscaler_initial_readiness_delay: GoDuration,
}

impl AutoscalerFlags {
    /// Refuses what the autoscaler cannot work with.
    pub(super) fn check(&self) -> Result<(), OptionsError> {
        let tolerance = self.horizontal_pod_autoscaler_tolerance;
        if !tolerance.is_finite() || tolerance < 0.0 {
            let why = "must be 0 or more".to_owned();
            return Err(OptionsError::Impossible { flag: "horizontal-pod-autoscaler-tolerance", why });
        }
        if self.horizontal_pod_autoscaler_sync_period.0.is_zero() {
            let why = "must be greater than 0".to_owned();
            return Err(OptionsError::Impossible { flag: "horizontal-pod-autoscaler-sync-period", why });
        }
        Ok(())
    }
}

/// The certificate signers'.
#[derive(Clone, Debug, clap::Args)]
pub struct SigningFlags {
    /// Certificate of the CA for cluster-scoped certificates.
    #[arg(long)]
    pub cluster_signing_cert_file: Option<PathBuf>,
    /// Key of the CA for cluster-scoped certificates.
    #[arg(long)]
    pub cluster_signing_key_file: Option<PathBuf>,
    /// Certificate of the CA of kubernetes.io/kubelet-serving.
    #[arg(long)]
    pub cluster_signing_kubelet_serving_cert_file: Option<PathBuf>,
    /// Key of the CA of kubernetes.io/kubelet-serving.
    #[arg(long)]
    pub cluster_signing_kubelet_serving_key_file: Option<PathBuf>,
    /// Certificate of the CA of kubernetes.io/kube-apiserver-client-kubelet.
    #[arg(long)]
    pub cluster_signing_kubelet_client_cert_file: Option<PathBuf>,
    /// Key of the CA of kubernetes.io/kube-apiserver-client-kubelet.
    #[arg(long)]
    pub cluster_signing_kubelet_client_key_file: Option<PathBuf>,
    /// Certificate of the CA of kubernetes.io/kube-apiserver-client.
    #[arg(long)]
    pub cluster_signing_kube_apiserver_client_cert_file: Option<PathBuf>,
    /// Key of the CA of kubernetes.io/kube-apiserver-client.
    #[arg(long)]
    pub cluster_signing_kube_apiserver_client_key_file: Option<PathBuf>,
    /// Certificate of the CA of kubernetes.io/legacy-unknown.
    #[arg(long)]
    pub cluster_signing_legacy_unknown_cert_file: Option<PathBuf>,
    /// Key of the CA of kubernetes.io/legacy-unknown.
    #[arg(long)]
    pub cluster_signing_legacy_unknown_key_file: Option<PathBuf>,
    /// The longest that a signed certificate is valid; a request may ask for less.
    #[arg(long, default_value = "8760h0m0s")]
    pub cluster_signing_duration: GoDuration,
}

impl SigningFlags {
    /// The authority of each signer; those that are not given one use the common one, unless any
    /// is: then only those that are given one sign.
    pub(super) fn signers(&self) -> Result<Signers, OptionsError> {
        let common = pair(
            ["cluster-signing-cert-file", "cluster-signing-key-file"],
            &self.cluster_signing_cert_file,
            &self.cluster_signing_key_file,
        )?;
        let kubelet_serving = pair(
            ["cluster-signing-kubelet-serving-cert-file", "cluster-signing-kubelet-serving-key-file"],
            &self.cluster_signing_kubelet_serving_cert_file,
            &self.cluster_signing_kubelet_serving_key_file,
        )?;
        let kubelet_client = pair(
            ["cluster-signing-kubelet-client-cert-file", "cluster-signing-kubelet-client-key-file"],
            &self.cluster_signing_kubelet_client_cert_file,
            &self.cluster_signing_kubelet_client_key_file,
        )?;
        let client = pair(
            ["cluster-signing-kube-apiserver-client-cert-file", "cluster-signing-kube-apiserver-client-key-file"],
            &self.cluster_signing_kube_apiserver_client_cert_file,
            &self.cluster_signing_kube_apiserver_client_key_file,
        )?;
        let legacy_unknown = pair(
            ["cluster-signing-legacy-unknown-cert-file", "cluster-signing-legacy-unknown-key-file"],
            &self.cluster_signing_legacy_unknown_cert_file,
            &self.cluster_signing_legacy_unknown_key_file,
        )?;
        let duration = self.cluster_signing_duration.0;
        let single = [&kubelet_serving, &kubelet_client, &client, &legacy_unknown];
        if common.is_some() && single.iter().any(|files| files.is_some()) {
            let why = "cannot be given together with the files of single signers".to_owned();
            return Err(OptionsError::Impossible { flag: "cluster-signing-cert-file", why });
        }
        let or_common = |files: Option<CaFiles>| files.or_else(|| common.clone());
        Ok(Signers {
            kubelet_serving: or_common(kubelet_serving),
            kubelet_client: or_common(kubelet_client),
            client: or_common(client),
            legacy_unknown: or_common(legacy_unknown),
            duration,
        })
    }
}

/// Both files or none, and readable.
fn pair(
    flags: [&'static str; 2],
    cert: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Result<Option<CaFiles>, OptionsError> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => {
            read(flags[0], cert)?;
            read(flags[1], key)?;
            Ok(Some(CaFiles { cert: cert.clone(), key: key.clone() }))
        }
        _ => {
            let why = format!("must be given together with --{}", flags[1]);
            Err(OptionsError::Impossible { flag: flags[0], why })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Flags;
    use component::flags::{Parsed, parse};

    fn flags(arguments: &[&str]) -> Flags {
        let arguments = arguments.iter().map(ToString::to_string);
        match parse::<Flags>("kube-controller-manager", arguments, |_| None) {
            Ok(Parsed::Start(start)) => start.options,
            _ => panic!("not parsed"),
        }
    }

    #[test]
    fn signers_share_an_authority_unless_one_has_its_own() {
        let common = ["--cluster-signing-cert-file=/dev/null", "--cluster-signing-key-file=/dev/null"];
        let all = flags(&common).signers.signers().unwrap();
        assert!(all.kubelet_serving.is_some() && all.client.is_some() && all.legacy_unknown.is_some());
        assert_eq!(all.duration.as_secs(), 8760 * 3600);
        let own = [
            "--cluster-signing-kubelet-client-cert-file=/dev/null",
            "--cluster-signing-kubelet-client-key-file=/dev/null",
            "--cluster-signing-duration=1h",
        ];
        let single = flags(&own).signers.signers().unwrap();
        assert!(single.kubelet_client.is_some() && single.client.is_none());
        assert_eq!(single.duration.as_secs(), 3600);
        let none = flags(&[]).signers.signers().unwrap();
        assert!(none.kubelet_client.is_none() && none.legacy_unknown.is_none());
    }

    #[test]
    fn half_an_authority_is_none() {
        let common = ["--cluster-signing-cert-file=/dev/null", "--cluster-signing-key-file=/dev/null"];
        let client = "--cluster-signing-kube-apiserver-client-cert-file=/dev/null";
        let key = "--cluster-signing-kube-apiserver-client-key-file=/dev/null";
        let table = [
            (
                vec![client],
                "invalid --cluster-signing-kube-apiserver-client-cert-file: must be given together with \
                 --cluster-signing-kube-apiserver-client-key-file",
            ),
            (
                vec![common[0], common[1], client, key],
                "invalid --cluster-signing-cert-file: cannot be given together with the files of single signers",
            ),
        ];
        for (arguments, expected) in table {
            assert_eq!(flags(&arguments).signers.signers().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_autoscaler_needs_a_period_and_a_tolerance() {
        for (argument, is_fine) in [
            ("--horizontal-pod-autoscaler-tolerance=0", true),
            ("--horizontal-pod-autoscaler-tolerance=-1", false),
            ("--horizontal-pod-autoscaler-tolerance=NaN", false),
            ("--horizontal-pod-autoscaler-sync-period=0s", false),
        ] {
            assert_eq!(flags(&[argument]).autoscaler.check().is_ok(), is_fine, "{argument}");
        }
    }
}
